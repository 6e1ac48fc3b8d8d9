"""Random interleavings of planning and publishing: what is live is always the newest token's run, whole."""

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from lockstep.errors import StaleRun
from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.publish.duckdb_warehouse import DuckDBWarehouse
from tests.unit.publish.staged import staged_file, staged_table

DAY = dt.date(2013, 8, 1)
NOW = dt.datetime(2013, 8, 2, tzinfo=dt.UTC)
RUNS = {"a": 2, "b": 3, "c": 5}


class Publishing(RuleBasedStateMachine):
    """Several runs of one partition, planned and published in any order, also twice and late."""

    planned: Bundle[tuple[str, int]] = Bundle("planned")

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        root = Path(self.folder.name)
        self.warehouse = DuckDBWarehouse(str(root / "w.duckdb"), 1.0)
        self.files: dict[str, StagedFile] = {}
        for run_key, rows in RUNS.items():
            pq.write_table(staged_table(run_key, rows=rows), root / f"{run_key}.parquet")
            self.files[run_key] = staged_file(root / f"{run_key}.parquet")
        self.newest: tuple[int, str] | None = None

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(target=planned, run_key=st.sampled_from(sorted(RUNS)))
    def plan(self, run_key: str) -> tuple[str, int]:
        claim = self.warehouse.claim("t", partition=DAY, run_key=run_key, now=NOW)
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
        try:
            done = self.warehouse.publish(self._request(run_key, token))
        except StaleRun:
            assert live is not None
            assert live[0] > token
            assert live[1] != run_key
            return
        assert live is None or live[0] <= token or live[1] == run_key
        assert done.outcome == ("noop" if live is not None and live[1] == run_key else "published")
        self.newest = max(live, (token, run_key)) if live else (token, run_key)

    def _request(self, run_key: str, token: int) -> PublishRequest:
        return PublishRequest(
            table="t",
            partition_column="flight_date",
            partition=DAY,
            run_key=run_key,
            token=token,
            spec="s",
            spec_hash="h",
            model_name="m",
            model_version=1,
            model_digest="d",
            code_version="0",
            run_folder="r",
            files=[self.files[run_key]],
            rows=RUNS[run_key],
            now=NOW,
        )

    @invariant()
    def the_live_rows_are_the_newest_run_whole(self) -> None:
        if not hasattr(self, "warehouse") or self.newest is None:
            return
        with duckdb.connect(self.warehouse.location, read_only=True) as connection:
            rows = connection.execute("SELECT run_key, count(*) FROM t GROUP BY ALL").fetchall()
            lineage = connection.execute("SELECT run_key, rows FROM model_lineage").fetchall()
        assert rows == lineage == [(self.newest[1], RUNS[self.newest[1]])]


TestPublishing = pytest.mark.slow(Publishing.TestCase)
TestPublishing.settings = settings(
    max_examples=10, stateful_step_count=10, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
