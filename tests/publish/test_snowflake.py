"""What is particular to Snowflake: statements about tables commit, so none may come inside of the transaction."""

import contextlib
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lockstep.errors import CommitUncertain, PublishError, WarehouseBusy
from lockstep.publish.contract import PublishRequest, ReportingTable
from lockstep.publish.sql.session import StatementFailed
from lockstep.publish.sql.snowflake_connection import connect
from lockstep.publish.sql.snowflake_engine import SnowflakeSession
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY, staged_table

pytestmark = pytest.mark.parametrize("place", ["snowflake"], indirect=True)
Request = Callable[..., PublishRequest]
Statements = list[str]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """The statements that go to the server."""
    statements: Statements = []
    rows = SnowflakeSession.rows

    def noted(session: SnowflakeSession, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        statements.append(query)
        return rows(session, query, parameters)

    monkeypatch.setattr(SnowflakeSession, "rows", noted)
    return statements


def verbs(statements: Statements) -> list[str]:
    return [key for key, _ in itertools.groupby(s.split()[0] for s in statements if not s.startswith("SELECT"))]


def test_the_transaction_holds_lock_rows_and_ledger_and_nothing_else(
    place: Place, request_for: Request, stage: Any, sent: Statements
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    wider = staged_table("b", rows=6).append_column("band", pa.array(["low"] * 6))
    request = request_for("b", place.claim("b"), files=stage("b", table=wider))
    sent.clear()
    place.open().publish(request)
    begin = sent.index("ALTER SESSION SET AUTOCOMMIT = FALSE")
    assert verbs(sent[:begin]) == ["ALTER", "CREATE", "PUT"]
    assert verbs(sent[begin + 1 :]) == ["UPDATE", "DELETE", "COPY", "UPDATE", "INSERT", "COMMIT"]


def test_the_run_that_is_live_is_not_uploaded_again(place: Place, request_for: Request, sent: Statements) -> None:
    request = request_for("a", place.claim("a"))
    place.open().publish(request)
    sent.clear()
    assert place.open().publish(request).outcome == "noop"
    assert {"PUT", "COPY", "DELETE"}.isdisjoint(verbs(sent))


def test_others_read_the_tables_without_quoting(place: Place, request_for: Request) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    assert len(place.read(TABLE.upper(), "FLIGHT_DATE, Run_Key")) == 6
    assert place.read("MODEL_LINEAGE", "run_key, publications") == [{"run_key": "a", "publications": 1}]


def test_a_statement_that_would_commit_half_way_is_not_sent(place: Place) -> None:
    with place.open().engine.transaction() as session:  # type: ignore[attr-defined]
        session.rows("CREATE TABLE IF NOT EXISTS t (n INT)")
        session.begin()
        session.lock("any")
        with pytest.raises(WarehouseBusy, match="changed by somebody else"):
            session.rows("  alter TABLE t ADD COLUMN m INT")
    assert place.open().read_table("t", limit=None) == (["n"], [])


def test_rows_that_vanish_after_the_look_ahead_are_told(
    place: Place, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run seemed live, so nothing was uploaded; in the transaction it is not."""
    request = request_for("a", place.claim("a"))
    place.open().publish(request)
    begin = SnowflakeSession.begin

    def after_somebody_deleted(session: SnowflakeSession) -> None:
        session.rows(f"DELETE FROM {TABLE}")
        begin(session)

    with monkeypatch.context() as patch:
        patch.setattr(SnowflakeSession, "begin", after_somebody_deleted)
        with pytest.raises(WarehouseBusy, match="Run the same command again"):
            place.open().publish(request)
    assert place.open().publish(request).outcome == "published"
    assert place.live() == [(DAY, "a", 6)]


def test_whichever_statement_fails_the_old_rows_stay_and_one_more_try_does(
    place: Place, request_for: Request, sent: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [request_for(run_key, 0, rows=rows) for run_key, rows in (("a", 6), ("b", 8))]
    place.open().publish(replace(requests[0], token=place.claim("a")))
    live, new = requests
    noted = SnowflakeSession.rows
    for verb, nth in [("ALTER SESSION", 1), ("UPDATE", 1), ("DELETE", 1), ("COPY", 1), ("INSERT", 1), ("COMMIT", 1)]:
        seen = itertools.count(1)

        def failing(
            session: SnowflakeSession,
            query: str,
            parameters: Sequence[object] = (),
            verb: str = verb,
            nth: int = nth,
            seen: Any = seen,
        ) -> list[tuple[Any, ...]]:
            if query.startswith(verb) and next(seen) == nth:
                raise StatementFailed("it is gone")
            return noted(session, query, parameters)

        request = replace(new, token=place.claim(new.run_key))
        with monkeypatch.context() as patch:
            patch.setattr(SnowflakeSession, "rows", failing)
            with pytest.raises(CommitUncertain if verb == "COMMIT" else PublishError, match="it is gone"):
                place.open().publish(request)
        assert place.live() == [(DAY, live.run_key, live.rows)], verb
        assert place.open().publish(request).outcome == "published"
        assert place.live() == [(DAY, new.run_key, new.rows)]
        live, new = new, live


def test_reporting_tables_are_refused_before_anything_is_done(
    place: Place, request_for: Request, tmp_path: Path
) -> None:
    table = ReportingTable("daily", "SELECT 1", "daily.sql", "flight_delay", TABLE, "flight_date", tmp_path, "day")
    request = request_for("a", place.claim("a"), reporting=(table,))
    for attempt in (lambda: place.open().publish(request), lambda: place.open().refresh_reporting(table, None)):
        with pytest.raises(PublishError, match="snowflake makes no tables in a transaction"):
            attempt()
    assert place.read() == []


def test_a_session_reports_nothing_home_and_keeps_what_the_connection_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = os.environ["SNOWFLAKE_CONNECTIONS"]
    theirs = '[emulator.session_parameters]\nQUERY_TAG = "nightly"\nTIMEZONE = "Asia/Tokyo"\n'
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", f"{described}\n{theirs}")
    with contextlib.closing(connect(place.location, wait_s=7)) as connection:
        asked = connection._session_parameters
        assert {"CLIENT_TELEMETRY_ENABLED": False, "TIMEZONE": "UTC", "LOCK_TIMEOUT": 7}.items() <= asked.items()
        assert asked["QUERY_TAG"] == "nightly"
        assert connection.telemetry_enabled is False
        assert connection.platform_detection_timeout_seconds == 0


def test_a_connection_that_is_not_described_is_one_error(place: Place) -> None:
    with pytest.raises(PublishError, match="'elsewhere', which the Snowflake connector's configuration does not know"):
        replace(place, location="elsewhere/A/B").open().tables()
