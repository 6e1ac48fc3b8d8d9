import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import PublishError, StepOutOfOrder
from lockstep.publish.contract import PublishRequest, ReportingTable
from lockstep.publish.reporting import reporting_tables
from lockstep.specs.loading import load_spec
from tests.publish.places import Place
from tests.publish.publisher import all_at_once, plan_and_publish, refresh, workers

DAY, NEXT_DAY = dt.date(2013, 8, 1), dt.date(2013, 8, 2)
QUERY = """
SELECT flight_date, count(*) AS flights, count(late) AS labelled, avg(CAST(late AS INT)) AS observed
FROM scores LEFT JOIN outcomes USING (flight_date, flight) GROUP BY flight_date;
"""

Request = Callable[..., PublishRequest]


@pytest.fixture
def live(sql_place: Place, request_for: Request) -> Place:
    """A warehouse with two days of scores."""
    for day, run_key in [(DAY, "a"), (NEXT_DAY, "b")]:
        sql_place.open().publish(request_for(run_key, sql_place.claim(run_key, day), day=day))
    return sql_place


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., ReportingTable]:
    def build(query: str = QUERY, **changes: Any) -> ReportingTable:
        facts: dict[str, Any] = {
            "name": "daily",
            "query": query,
            "origin": "reporting/daily.sql",
            "spec": "flight_delay",
            "scores": "scores_table",
            "partition_column": "flight_date",
            "outcomes_folder": tmp_path / "data" / "flights [1]",
            "outcomes_partition": "flight_date",
            "outcomes_columns": {"flight": "int32", "late": "bool"},
        }
        return ReportingTable(**{**facts, **changes})

    return build


def write_outcomes(table: ReportingTable, day: dt.date, late: Sequence[bool | None]) -> None:
    folder = table.outcomes_folder / f"flight_date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = pa.table({"flight": pa.array(range(len(late)), pa.int32()), "late": pa.array(late, pa.bool_())})
    pq.write_table(rows, folder / "part-0.parquet")


def rows_of(place: Place, table: str = "daily") -> list[tuple[Any, ...]]:
    """Return the rows, averages as floats, which are decimals in PostgreSQL."""
    rows = place.open().read_table(table, limit=None)[1]
    return [tuple(float(value) if isinstance(value, Decimal) else value for value in row) for row in rows]


@pytest.mark.parametrize("times", [1, 2])
def test_outcomes_that_are_not_there_are_unknown(live: Place, table: Any, times: int) -> None:
    for _ in range(times):
        assert live.open().refresh_reporting(table(), None) == 2
    assert rows_of(live) == [(DAY, 6, 0, None), (NEXT_DAY, 6, 0, None)]


def test_only_the_named_partition_is_recomputed(live: Place, table: Any) -> None:
    live.open().refresh_reporting(table(), None)
    for day in [DAY, NEXT_DAY]:
        write_outcomes(table(), day, [True, False, None, True])
    for _ in range(2):
        assert live.open().refresh_reporting(table(), [DAY]) == 1
    assert rows_of(live) == [(DAY, 6, 3, 2 / 3), (NEXT_DAY, 6, 0, None)]


def test_an_edited_query_rebuilds_every_live_day(live: Place, table: Any) -> None:
    live.open().refresh_reporting(table(), None)
    edited = table("SELECT flight_date, max(run_key) AS run FROM scores GROUP BY flight_date")
    assert live.open().refresh_reporting(edited, [DAY]) == 2
    assert rows_of(live) == [(DAY, "a"), (NEXT_DAY, "b")]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nothing FROM scores", r"the query reporting/daily.sql failed: .*nothing.*Nothing was changed"),
        ("SELEKT", r"the query reporting/daily.sql failed: .*syntax error"),
        ("SELECT DATE '2013-08-01' AS flight_date; DROP TABLE scores_table", "failed: .*syntax error"),
        (
            "SELECT count(*) AS n FROM scores",
            "must return the partition column 'flight_date' as DATE; it returns n (BIGINT|bigint)",
        ),
    ],
)
def test_a_wrong_query_leaves_all_as_it_was(
    live: Place, table: Any, request_for: Request, query: str, message: str
) -> None:
    live.open().refresh_reporting(table(), None)
    for _ in range(2):
        with pytest.raises(PublishError, match=message):
            live.open().refresh_reporting(table(query), [DAY])
    with pytest.raises(PublishError, match=message):
        live.open().publish(request_for("c", live.claim("c"), reporting=[table(query)]))
    assert rows_of(live) == [(DAY, 6, 0, None), (NEXT_DAY, 6, 0, None)]
    assert live.live() == [(DAY, "a", 6), (NEXT_DAY, "b", 6)]


def test_publishing_refreshes_the_tables_in_its_transaction(live: Place, table: Any, request_for: Request) -> None:
    token = live.claim("c")
    for outcome in ("published", "noop"):
        done = live.open().publish(request_for("c", token, rows=4, reporting=[table()]))
        assert (done.outcome, done.reporting) == (outcome, {"daily": 1})
    assert [row[:2] for row in rows_of(live)] == [(DAY, 4)]
    assert live.open().history("scores_table")[-1].reporting == {"daily": 1}


def test_a_query_that_fails_on_its_rows_leaves_the_table_as_it_was(live: Place, table: Any) -> None:
    live.open().refresh_reporting(table(), None)
    bad = table(
        "SELECT flight_date, flight AS flights, labelled, CAST(run_key AS DOUBLE PRECISION) AS observed "
        "FROM scores, (SELECT count(*) AS labelled FROM scores) AS s"
    )
    before = rows_of(live)
    with pytest.raises(PublishError, match=r"(?s)reporting/daily.sql failed.*Nothing was changed"):
        live.open().refresh_reporting(bad, [DAY])
    assert rows_of(live) == before


def test_tables_of_others_are_not_touched(live: Place, table: Any) -> None:
    with live.open().engine.transaction() as session:  # type: ignore[attr-defined]
        session.rows("CREATE TABLE daily AS SELECT 42 AS mine")
    with pytest.raises(PublishError, match="another table of this name"):
        live.open().refresh_reporting(table(), None)
    with pytest.raises(PublishError, match="taken by Lockstep"):
        live.open().refresh_reporting(table(name="lockstep_ledger"), None)
    with pytest.raises(PublishError, match="taken by Lockstep"):
        live.open().refresh_reporting(table(name="scores_table"), None)
    assert rows_of(live) == [(42,)]


def test_the_tables_of_a_spec_see_all_that_the_source_path_has() -> None:
    loaded = load_spec(Path("models/flight_delay"))
    queries = {name: loaded.file(file) for name, file in loaded.spec.reporting.items()}
    (found,) = reporting_tables(loaded.spec, queries, data_root=Path("/data"))
    assert (found.name, found.outcomes_folder, found.outcomes_partition) == (
        "daily_risk",
        Path("/data/flights"),
        "flight_date",
    )
    assert found.outcomes_columns["arr_delay"] == "double"
    assert found.outcomes_columns["flight"] == "int32"
    with pytest.raises(StepOutOfOrder, match=r"none\.sql"):
        reporting_tables(loaded.spec, {"daily_risk": Path("none.sql")}, data_root=Path("/data"))


def test_daily_risk_adds_up(sql_place: Place, request_for: Request, stage: Any, tmp_path: Path) -> None:
    loaded = load_spec(Path("models/flight_delay"))
    keys = {
        "flight_date": pa.array([DAY] * 4, pa.date32()),
        "carrier": ["AA", "AA", "AA", "UA"],
        "flight": pa.array([1, 2, 3, 4], pa.int32()),
        "origin": ["JFK"] * 4,
        "dest": ["LAX"] * 4,
        "sched_dep_time": pa.array([600] * 4, pa.int32()),
    }
    scores = {"probability_late": [0.2, 0.4, 0.9, 0.5], "model_version": pa.array([7] * 4, pa.int64())}
    token = sql_place.claim("a", table="flight_delay_scores")
    files = stage("a", table=pa.table({**keys, **scores}))
    sql_place.open().publish(request_for("a", token, table="flight_delay_scores", rows=4, files=files))
    day = tmp_path / "flights" / f"flight_date={DAY}"
    day.mkdir(parents=True)
    delays = pa.array([15.0, 14.0, None, None])
    pq.write_table(pa.table({**keys, "arr_delay": delays}).drop_columns(["flight_date"]), day / "0.parquet")

    queries = {name: loaded.file(file) for name, file in loaded.spec.reporting.items()}
    for risk in reporting_tables(loaded.spec, queries, data_root=tmp_path) * 2:
        sql_place.open().refresh_reporting(risk, [DAY])
    columns, rows = sql_place.open().read_table("daily_risk", limit=None)
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    assert [(r["carrier"], r["flights"], r["labelled_flights"], r["model_version"]) for r in found] == [
        ("AA", 3, 2, 7),
        ("UA", 1, 0, 7),
    ]
    found = [{name: float(v) if isinstance(v, Decimal) else v for name, v in row.items()} for row in found]
    assert found[0]["mean_predicted_risk"] == pytest.approx(0.5)
    assert found[0]["observed_late_rate"] == pytest.approx(0.5)
    assert found[0]["calibration"] == pytest.approx(0.2)
    assert (found[1]["observed_late_rate"], found[1]["calibration"]) == (None, None)


@pytest.mark.slow
def test_runs_side_by_side_make_and_refresh_it_together(sql_place: Place, table: Any, request_for: Request) -> None:
    days = [DAY + dt.timedelta(days=i) for i in range(4)]
    edited = "SELECT flight_date, count(*) AS flights, max(run_key) AS run FROM scores GROUP BY flight_date"
    with workers(len(days)) as pool:
        for key, query in [("a", QUERY), ("b", edited), ("c", edited)]:
            requests = [request_for(key, 0, day=day, reporting=[table(query)]) for day in days]
            assert all_at_once(pool, plan_and_publish, sql_place, requests) == ["published"] * len(days)
            assert [row[:2] for row in rows_of(sql_place)] == [(day, 6) for day in days]
        assert all_at_once(pool, refresh, sql_place, [table(edited)] * 8) == ["4 rows"] * 8
    assert rows_of(sql_place) == [(day, 6, "c") for day in days]
