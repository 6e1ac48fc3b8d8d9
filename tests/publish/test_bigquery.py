"""What is particular to BigQuery: load jobs beside the transaction, one script in it, and jobs that are asked about."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from bqemulator.api.routes import jobs
from bqemulator.domain.errors import InvalidQueryError, PermissionDeniedError, QuotaExceededError
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from lockstep.errors import (
    CommitConflict,
    CommitUncertain,
    PublishError,
    StaleRun,
    WarehouseBusy,
    WarehouseUnreachable,
)
from lockstep.publish.bigquery.script import Script
from lockstep.publish.bigquery.session import STAGED, BigQuerySession
from lockstep.publish.contract import PublishRequest, ReportingTable
from lockstep.services.ports import LOOPBACK
from tests.publish.bigquery_server import PROJECT
from tests.publish.conftest import make
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY, staged_table

Request = Callable[..., PublishRequest]
LOST = "Transaction is aborted due to concurrent update against table emulated:w.lockstep_lock_ledger"


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return make("bigquery", tmp_path, request)


@pytest.fixture
def client(place: Place) -> Iterator[bigquery.Client]:
    """Of somebody who knows nothing of Lockstep."""
    with contextlib.closing(bigquery.Client(project=PROJECT, credentials=AnonymousCredentials())) as opened:
        yield opened


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


def on_server(monkeypatch: pytest.MonkeyPatch, error: Exception, *, times: int, part: str) -> list[str]:
    """Let the emulator fail jobs whose statement has a part, so many times; return a list that grows by each."""
    execute, failed = jobs.execute_query_job, list[str]()

    async def failing(project: str, job: str, sql: str, *rest: Any, **named: Any) -> Any:
        if part in sql and len(failed) < times:
            failed.append(job)
            raise error
        return await execute(project, job, sql, *rest, **named)

    monkeypatch.setattr(jobs, "execute_query_job", failing)
    return failed


def before_the_script(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once between what a publication looks at and its script."""
    run, left = BigQuerySession.run, [act]

    def after(session: BigQuerySession, script: Script, *, attempt: int) -> None:
        if left:
            left.pop()()
        run(session, script, attempt=attempt)

    monkeypatch.setattr(BigQuerySession, "run", after)


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
    assert [table.expires is not None for table in staging] == [True]
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
    old, new = request_for("old", place.claim("old")), request_for("new", place.claim("new"), rows=8)
    before_the_script(monkeypatch, lambda: place.open().publish(new))
    with pytest.raises(StaleRun):
        place.open().publish(old)
    assert place.live() == [(DAY, "new", 8)]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM {table} WHERE flight = 0", "INSERT INTO {table} SELECT * FROM {table}"]
)
def test_rows_that_change_between_look_and_commit_are_seen(
    place: Place, request_for: Request, client: bigquery.Client, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    table = f"`{place.location.replace('/', '.')}.{TABLE}`"
    before_the_script(monkeypatch, lambda: client.query_and_wait(statement.format(table=table)))
    done = place.open().publish(request_for("b", place.claim("b"), rows=8))
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


def test_a_transaction_that_is_always_cancelled_is_one_error(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    token = place.claim("b")
    on_server(monkeypatch, InvalidQueryError(LOST), times=1000, part="DELETE")
    with pytest.raises(CommitConflict, match="other writers committed first"):
        place.open(wait_s=0).publish(request_for("b", token))
    assert place.live() == [(DAY, "a", 6)]


@pytest.mark.parametrize(
    ("part", "error", "expected", "message"),
    [
        ("BEGIN", QuotaExceededError("Quota exceeded: jobs"), WarehouseBusy, "a quota of the project is used up"),
        (
            "BEGIN",
            PermissionDeniedError("Access Denied: Table"),
            PublishError,
            "no permission: .* BigQuery Data Editor",
        ),
        ("SELECT COUNT(*)", InvalidQueryError("Syntax error"), PublishError, "Syntax error"),
    ],
)
def test_whatever_fails_the_old_rows_stay_and_one_more_try_does(
    place: Place,
    request_for: Request,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    error: Exception,
    expected: type[Exception],
    message: str,
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    request = request_for("b", place.claim("b"), rows=8)
    with monkeypatch.context() as patch:
        assert on_server(patch, error, times=1000, part=part) == []
        with pytest.raises(expected, match=message):
            place.open(wait_s=0).publish(request)
    assert place.live() == [(DAY, "a", 6)]
    assert place.open().publish(request).outcome == "published"
    assert place.live() == [(DAY, "b", 8)]


def cut_after(monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[str]:
    """Break the line after the server has run a script, before its answer comes; so many times."""
    request, cut = requests.Session.request, list[str]()

    def cutting(self: requests.Session, method: str, url: str, *args: Any, **named: Any) -> requests.Response:
        answer = request(self, method, url, *args, **named)
        if "DELETE FROM" in str(named.get("data")) and len(cut) < times:
            cut.append(url)
            raise requests.exceptions.ConnectionError("the line broke")
        return answer

    monkeypatch.setattr(requests.Session, "request", cutting)
    return cut


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


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (f"{PROJECT}/nowhere", r"there is no such project or dataset.*bq mk --dataset.*LOCKSTEP_BIGQUERY"),
        ("{place}/US", "the dataset lies in EU"),
    ],
)
def test_a_dataset_that_is_not_there_is_one_error(place: Place, location: str, message: str) -> None:
    for attempt in (lambda w: w.history(), lambda w: w.tables(), lambda w: w.live(TABLE, DAY)):
        with pytest.raises(PublishError, match=message):
            attempt(replace(place, location=location.format(place=place.location)).open())


def test_a_dataset_whose_tables_expire_is_refused(place: Place, client: bigquery.Client) -> None:
    dataset = client.get_dataset(place.location.replace("/", "."))
    dataset.default_table_expiration_ms = 60 * 86_400_000
    client.update_dataset(dataset, ["default_table_expiration_ms"])
    with pytest.raises(PublishError, match="expire by default"):
        place.claim("a")
    assert place.open().tables() == []


def test_the_region_may_be_named(place: Place) -> None:
    assert replace(place, location=f"{place.location}/eu").open().tables() == []


def test_a_server_that_does_not_answer_is_one_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://{LOOPBACK}:9")
    with pytest.raises(WarehouseUnreachable, match="does not answer"):
        place.open(wait_s=0).tables()


@pytest.mark.parametrize("key", [None, "{}", '{"type": "service_account", "private_key": "hunter2"}'])
def test_credentials_that_are_missing_or_broken_are_one_error_without_them(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    if key is not None:
        (tmp_path / "key.json").write_text(key)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(
        PublishError, match="application default credentials are missing or were not accepted"
    ) as caught:
        place.open().tables()
    assert "hunter2" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
