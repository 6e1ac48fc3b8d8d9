"""What is particular to BigQuery: load jobs beside the transaction, one script in it, and jobs that are asked about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bqemulator.domain.errors import InvalidQueryError
from google.cloud import bigquery

from lockstep.errors import (
    CommitConflict,
    CommitUncertain,
    PublishError,
    StaleRun,
)
from lockstep.publish.bigquery.script import Script
from lockstep.publish.bigquery.session import STAGED, BigQuerySession
from lockstep.publish.bigquery.warehouse import say_experimental
from lockstep.publish.contract import PublishRequest, ReportingTable
from tests.publish.bigquery_faults import LOST, before_the_script, cut_after, failing_loads, on_server
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY, staged_table

pytestmark = pytest.mark.parametrize("place", ["bigquery"], indirect=True)
Request = Callable[..., PublishRequest]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the scripts that go to the server."""
    texts: list[str] = []
    run = BigQuerySession.run

    def noted(session: BigQuerySession, script: Script, *, attempt: int) -> None:
        texts.append(script.text)
        run(session, script, attempt=attempt)

    monkeypatch.setattr(BigQuerySession, "run", noted)
    return texts


def test_one_script_holds_lock_rows_and_ledger_and_nothing_else(
    place: Place, request_for: Request, stage: Any, sent: list[str]
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    wider = staged_table("b", rows=6).append_column("band", pa.array(["low"] * 6))
    request = request_for("b", place.claim("b"), files=stage("b", table=wider))
    sent.clear()
    place.open().publish(request)
    assert len(sent) == 1
    verbs = [line.split()[0] for line in sent[0].splitlines() if not line.startswith(" ")]
    assert verbs == [
        *("BEGIN", "UPDATE", "IF", "END", "IF", "END", "DELETE", "INSERT", "IF", "END", "INSERT", "COMMIT"),
    ]


def test_the_run_that_is_live_is_not_loaded_again(place: Place, request_for: Request, sent: list[str]) -> None:
    request = request_for("a", place.claim("a"))
    place.open().publish(request)
    assert f"{STAGED}" in sent[-1]
    assert place.open().publish(request).outcome == "noop"
    assert f"{STAGED}" not in sent[-1]
    assert "DELETE" not in sent[-1]


def test_tables_are_partitioned_and_staging_tables_go(
    place: Place, request_for: Request, client: bigquery.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    create = bigquery.Client.create_table

    def noted(self: bigquery.Client, table: bigquery.Table, **named: Any) -> bigquery.Table:
        made.append(table)
        return create(self, table, **named)

    monkeypatch.setattr(bigquery.Client, "create_table", noted)
    place.open().publish(request_for("a", place.claim("a")))
    dataset = place.location.replace("/", ".")
    assert client.get_table(f"{dataset}.{TABLE}").time_partitioning.field == "flight_date"
    staging = [table for table in made if table.table_id.startswith(STAGED)]
    assert [table.expires is not None for table in staging] == [True, True]
    assert [one.table_id for one in client.list_tables(dataset) if one.table_id.startswith(STAGED)] == []


def test_others_read_what_is_live_from_the_view(place: Place, request_for: Request) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    assert place.read("model_lineage", "run_key, publications, `rows`") == [
        {"run_key": "a", "publications": 1, "rows": 6}
    ]


def test_a_newer_run_that_comes_between_look_and_commit_fences(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open().publish(request_for("live", place.claim("live")))
    old, new = request_for("old", place.claim("old")), request_for("new", place.claim("new"))
    before_the_script(monkeypatch, lambda: place.open().publish(new))
    with pytest.raises(StaleRun):
        place.open().publish(old)
    assert place.live() == [(DAY, "new", 6)]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM {table} WHERE flight = 0", "INSERT INTO {table} SELECT * FROM {table}"]
)
def test_rows_that_change_between_look_and_commit_are_seen(
    place: Place, request_for: Request, client: bigquery.Client, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    table = f"`{place.location.replace('/', '.')}.{TABLE}`"
    request = request_for("b", place.claim("b"), rows=8)
    before_the_script(monkeypatch, lambda: client.query_and_wait(statement.format(table=table)))
    done = place.open().publish(request)
    assert (done.outcome, done.replaced_rows) == ("published", 5 if "DELETE" in statement else 12)
    assert place.live() == [(DAY, "b", 8)]


def test_a_cancelled_transaction_is_tried_again(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    token = place.claim("b")
    failed = on_server(monkeypatch, InvalidQueryError(LOST), times=2, part="DELETE")
    assert place.open().publish(request_for("b", token, rows=8)).outcome == "published"
    assert len(set(failed)) == 2
    assert place.live() == [(DAY, "b", 8)]
    assert [one.outcome for one in place.open().history(TABLE)] == ["published", "published"]


def test_many_files_share_staging_tables(
    place: Place, request_for: Request, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstep.publish.bigquery.session.MOST_STAGED", 1)
    place.open().publish(request_for("a", place.claim("a"), rows=7))
    assert sent[-1].count(STAGED) == 1
    assert sorted(row["flight"] for row in place.read()) == list(range(7))


def test_a_load_job_that_is_refused_for_its_rate_is_repeated(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for("a", place.claim("a"))
    failed = failing_loads(monkeypatch, reason="rateLimitExceeded", times=2)
    assert place.open().publish(request).outcome == "published"
    assert len(failed) == 2
    assert place.live() == [(DAY, "a", 6)]


def test_a_transaction_that_is_always_cancelled_is_one_error(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    token = place.claim("b")
    on_server(monkeypatch, InvalidQueryError(LOST), times=1000, part="DELETE")
    with pytest.raises(CommitConflict, match="other writers committed first"):
        place.open(wait_s=0).publish(request_for("b", token))
    assert place.live() == [(DAY, "a", 6)]


def test_a_script_whose_answer_is_lost_runs_once(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    token = place.claim("b")
    assert cut_after(monkeypatch, times=1) == []
    assert place.open().publish(request_for("b", token, rows=8)).outcome == "published"
    assert [one.outcome for one in place.open().history(TABLE)] == ["published", "published"]
    assert place.live() == [(DAY, "b", 8)]


def test_a_line_that_stays_broken_leaves_it_open_and_the_next_try_finds_out(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for("a", place.claim("a"))
    place.open().publish(request_for("live", place.claim("live")))
    request = request_for("a", place.claim("a"), rows=8)
    with monkeypatch.context() as patch:
        cut_after(patch, times=1000)
        with pytest.raises(CommitUncertain, match=r"the old partition or the new one, whole") as caught:
            place.open(wait_s=0).publish(request)
    assert "(job lockstep_" in str(caught.value)
    assert place.live() == [(DAY, "a", 8)]
    assert place.open().publish(request).outcome == "noop"


def test_columns_that_differ_in_case_alone(place: Place, request_for: Request, stage: Any) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    table = staged_table("b", rows=6)
    upper = table.rename_columns([name.upper() if name == "flight" else name for name in table.column_names])
    place.open().publish(request_for("b", place.claim("b"), files=stage("b", table=upper)))
    assert "flight" in place.columns()
    both = table.append_column("Flight", table["flight"])
    with pytest.raises(PublishError, match="differ only in upper and lower case: Flight"):
        place.open().publish(request_for("c", place.claim("c"), files=stage("c", table=both)))


def test_reporting_tables_are_refused_before_anything_is_done(
    place: Place, request_for: Request, tmp_path: Path
) -> None:
    table = ReportingTable("daily", "SELECT 1", "daily.sql", "flight_delay", TABLE, "flight_date", tmp_path, "day")
    request = request_for("a", place.claim("a"), reporting=(table,))
    for attempt in (lambda: place.open().publish(request), lambda: place.open().refresh_reporting(table, None)):
        with pytest.raises(PublishError, match="bigquery makes no tables in a transaction"):
            attempt()
    assert place.read() == []


def test_what_is_experimental_says_so_once(
    place: Place, request_for: Request, caplog: pytest.LogCaptureFixture
) -> None:
    say_experimental.cache_clear()
    place.open().publish(request_for("a", place.claim("a")))
    assert [record.levelname for record in caplog.records if "experimental" in record.message] == ["WARNING"]
