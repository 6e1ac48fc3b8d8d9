"""Random interleavings of planning and publishing: what is live is always the newest token's run, whole."""

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from lockstep.errors import StaleRun
from tests.publish.bigquery_server import BigQueryEmulator
from tests.publish.conftest import SCHEMAS
from tests.publish.places import EMULATED, KINDS, SERVERS, make_place
from tests.publish.postgres_server import Server
from tests.publish.snowflake_server import Emulator
from tests.publish.staged import DAY, NOON, publish_request, staged_file, staged_table

RUNS = {"a": 2, "b": 3, "c": 5}


class Publishing(RuleBasedStateMachine):
    """Several runs of one partition, planned and published in any order, also twice and late."""

    kind: str
    server: Server | Emulator | BigQueryEmulator | None = None
    planned: Bundle[tuple[str, int]] = Bundle("planned")

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        root = Path(self.folder.name)
        schema = self.server.create(f"f{next(SCHEMAS)}") if self.server else None
        self.place = make_place(self.kind, root, server=schema)
        self.files = {}
        for run_key, rows in RUNS.items():
            pq.write_table(staged_table(run_key, rows=rows), root / f"{run_key}.parquet")
            self.files[run_key] = staged_file(root / f"{run_key}.parquet")
        self.newest: tuple[int, str] | None = None
        self.moment = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(target=planned, run_key=st.sampled_from(sorted(RUNS)))
    def plan(self, run_key: str) -> tuple[str, int]:
        claim = self.place.open().claim("scores_table", partition=DAY, run_key=run_key, now=NOON)
        assert claim.already_live == (self.newest is not None and self.newest[1] == run_key)
        return run_key, claim.token

    @rule(run=planned)
    def publish(self, run: tuple[str, int]) -> None:
        self._publish(*run)

    @rule(target=planned, run=consumes(planned))
    def publish_last_time(self, run: tuple[str, int]) -> object:
        self._publish(*run)
        return multiple()

    def _publish(self, run_key: str, token: int) -> None:
        live = self.newest
        self.moment += 1
        now = NOON + dt.timedelta(seconds=self.moment)
        request = publish_request(run_key, token, files=[self.files[run_key]], rows=RUNS[run_key], now=now)
        try:
            done = self.place.open().publish(request)
        except StaleRun:
            assert live is not None
            assert live[0] > token
            assert live[1] != run_key
            return
        assert live is None or live[0] <= token or live[1] == run_key
        assert done.outcome == ("noop" if live is not None and live[1] == run_key else "published")
        self.newest = max(live, (token, run_key)) if live else (token, run_key)

    @invariant()
    def the_live_rows_are_the_newest_run_whole(self) -> None:
        if not hasattr(self, "place") or self.newest is None:
            return
        run_key = self.newest[1]
        assert self.place.live() == [(DAY, run_key, RUNS[run_key])]
        live = self.place.open().live("scores_table", DAY)
        assert live is not None
        assert (live.run_key, live.rows) == (run_key, RUNS[run_key])
        columns, rows = self.place.open().read_table("model_lineage", limit=None)
        assert [dict(zip(columns, row, strict=True))["run_key"] for row in rows] == [run_key]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *EMULATED])
def test_publishing(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(SERVERS[kind]) if kind in SERVERS else None
    machine = type("Publishing", (Publishing,), {"kind": kind, "server": server})
    quick = settings(
        max_examples=3 if kind in EMULATED else 8,  # an emulator takes up to a second for each step
        stateful_step_count=8,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )
    run_state_machine_as_test(machine, settings=quick)
