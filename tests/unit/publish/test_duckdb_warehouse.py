import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lockstep.errors import PublishError, StagedFileChanged, StaleRun
from lockstep.publish.contract import PublishRequest
from lockstep.publish.duckdb_warehouse import DuckDBWarehouse
from lockstep.publish.warehouse import open_warehouse
from tests.unit.publish.staged import staged_table

DAY, NEXT_DAY = dt.date(2013, 8, 1), dt.date(2013, 8, 2)
NOW = dt.datetime(2013, 8, 2, 12, tzinfo=dt.UTC)
TABLE = "scores_table"

Request = Callable[..., PublishRequest]


def claim(warehouse: DuckDBWarehouse, run_key: str, day: dt.date = DAY) -> int:
    return warehouse.claim(TABLE, partition=day, run_key=run_key, now=NOW).token


def query(warehouse: DuckDBWarehouse, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(warehouse.location, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def runs_live(warehouse: DuckDBWarehouse) -> list[tuple[Any, ...]]:
    return query(warehouse, f"SELECT flight_date, run_key, count(*) FROM {TABLE} GROUP BY ALL ORDER BY ALL")


def test_publish_twice_gives_the_rows_once(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    first = warehouse.publish(request_for("a", claim(warehouse, "a")))
    again = warehouse.publish(request_for("a", claim(warehouse, "a"), now=NOW + dt.timedelta(hours=1)))

    assert (first.outcome, first.rows, first.replaced_rows) == ("published", 6, 0)
    assert (again.outcome, again.rows, again.published_at, again.token) == ("noop", 6, NOW, 2)
    assert runs_live(warehouse) == [(DAY, "a", 6)]
    assert query(warehouse, "SELECT token, outcome, rows FROM lockstep_ledger ORDER BY entry") == [
        (1, "published", 6),
        (2, "noop", 6),
    ]


def test_claims_count_up_and_know_what_is_live(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    assert warehouse.live_run_key(TABLE, DAY) is None
    first = warehouse.claim(TABLE, partition=DAY, run_key="a", now=NOW)
    assert warehouse.live_run_key(TABLE, DAY) is None
    warehouse.publish(request_for("a", first.token))
    same = warehouse.claim(TABLE, partition=DAY, run_key="a", now=NOW)
    other = warehouse.claim(TABLE, partition=DAY, run_key="b", now=NOW)
    elsewhere = warehouse.claim(TABLE, partition=NEXT_DAY, run_key="a", now=NOW)

    assert [first.token, same.token, other.token, elsewhere.token] == [1, 2, 3, 1]
    assert [first.already_live, same.already_live, other.already_live, elsewhere.already_live] == [
        False,
        True,
        False,
        False,
    ]
    assert warehouse.live_run_key(TABLE, DAY) == "a"


def test_asking_what_is_live_creates_nothing(tmp_path: Path) -> None:
    warehouse = open_warehouse("duckdb", str(tmp_path / "none" / "w.duckdb"), wait_s=0)
    assert warehouse.live_run_key(TABLE, DAY) is None
    assert warehouse.tables() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [1, 2])
def test_exactly_the_partition_is_replaced(warehouse: DuckDBWarehouse, request_for: Request, times: int) -> None:
    warehouse.publish(request_for("a", claim(warehouse, "a")))
    warehouse.publish(request_for("n", claim(warehouse, "n", NEXT_DAY), day=NEXT_DAY, rows=4))
    token = claim(warehouse, "b")
    for _ in range(times):
        last = warehouse.publish(request_for("b", token, rows=8))

    assert last.replaced_rows == (6 if times == 1 else 0)
    assert runs_live(warehouse) == [(DAY, "b", 8), (NEXT_DAY, "n", 4)]


def test_an_older_run_is_fenced_off(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    old, new = claim(warehouse, "old"), claim(warehouse, "new")
    warehouse.publish(request_for("new", new))
    for _ in range(2):
        with pytest.raises(StaleRun, match=r"token is 1, but a run planned later \(token 2\)"):
            warehouse.publish(request_for("old", old))
    assert runs_live(warehouse) == [(DAY, "new", 6)]


def test_a_newer_claim_alone_fences_nobody(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    old = claim(warehouse, "old")
    claim(warehouse, "planned and then abandoned")
    assert warehouse.publish(request_for("old", old)).outcome == "published"


def test_a_noop_shuts_out_older_runs_too(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    warehouse.publish(request_for("a", claim(warehouse, "a")))
    between = claim(warehouse, "b")
    warehouse.publish(request_for("a", claim(warehouse, "a")))
    with pytest.raises(StaleRun):
        warehouse.publish(request_for("b", between))
    assert runs_live(warehouse) == [(DAY, "a", 6)]


def test_a_run_may_come_back_when_planned_again(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    for run_key in ["a", "b", "a"]:
        warehouse.publish(request_for(run_key, claim(warehouse, run_key)))
    assert runs_live(warehouse) == [(DAY, "a", 6)]
    columns, rows = warehouse.read_table("model_lineage", limit=None)
    facts = dict(zip(columns, rows[0], strict=True))
    assert len(rows) == 1
    assert (facts["run_key"], facts["publications"], facts["noops"], facts["rows"]) == ("a", 3, 0, 6)


def test_a_claim_of_another_warehouse_does_not_count(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    claim(warehouse, "somebody else")
    for token in [1, 2]:
        with pytest.raises(PublishError, match="has no claim on partition 2013-08-01"):
            warehouse.publish(request_for("a", token))


def test_rows_that_vanished_by_hand_are_published_again(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    token = claim(warehouse, "a")
    warehouse.publish(request_for("a", token))
    with duckdb.connect(warehouse.location) as connection:
        connection.execute(f"DROP TABLE {TABLE}")
    assert warehouse.publish(request_for("a", token)).outcome == "published"
    assert runs_live(warehouse) == [(DAY, "a", 6)]


@pytest.mark.parametrize("damage", ["cut", "same size", "gone"])
def test_a_changed_file_is_refused(warehouse: DuckDBWarehouse, request_for: Request, damage: str) -> None:
    warehouse.publish(request_for("old", claim(warehouse, "old")))
    request = request_for("a", claim(warehouse, "a"))
    file = request.files[1].path
    if damage == "gone":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[20] ^= 1
        file.write_bytes(data[:-1] if damage == "cut" else data)
    for _ in range(2):
        with pytest.raises(StagedFileChanged, match=r"part-1\.parquet"):
            warehouse.publish(request)
    assert runs_live(warehouse) == [(DAY, "old", 6)]


def test_a_wrong_count_rolls_back(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    warehouse.publish(request_for("old", claim(warehouse, "old")))
    request = request_for("a", claim(warehouse, "a"))
    with pytest.raises(PublishError, match="6 inserted; expected the 7 of the manifest"):
        warehouse.publish(PublishRequest(**{**vars(request), "rows": 7}))
    assert runs_live(warehouse) == [(DAY, "old", 6)]
    assert len(query(warehouse, "FROM lockstep_ledger")) == 1


def test_rows_of_another_partition_are_refused(
    warehouse: DuckDBWarehouse, request_for: Request, stage: Callable[..., Any]
) -> None:
    request = request_for("a", claim(warehouse, "a"), files=stage("a", day=NEXT_DAY))
    with pytest.raises(PublishError, match="would have 0 rows of 6 inserted"):
        warehouse.publish(request)


def test_another_shape_names_the_columns(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    with duckdb.connect(warehouse.location) as connection:
        connection.execute(f"CREATE TABLE {TABLE} (flight_date DATE, flight VARCHAR, mine INTEGER)")
    for _ in range(2):
        with pytest.raises(PublishError) as caught:
            warehouse.publish(request_for("a", claim(warehouse, "a")))
    text = str(caught.value)
    assert "the rows have probability_late DOUBLE, the table does not" in text
    assert "the table has mine INTEGER, the rows do not" in text
    assert "column flight: expected VARCHAR, got INTEGER" in text
    assert query(warehouse, f"FROM {TABLE}") == []


def test_an_empty_partition_may_be_published(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    empty = request_for("none", claim(warehouse, "none"), rows=0)
    nothing_yet = PublishRequest(**{**vars(empty), "files": []})
    assert warehouse.publish(nothing_yet).rows == 0
    warehouse.publish(request_for("a", claim(warehouse, "a")))
    done = warehouse.publish(PublishRequest(**{**vars(nothing_yet), "token": claim(warehouse, "none")}))
    assert (done.rows, done.replaced_rows) == (0, 6)
    assert runs_live(warehouse) == []


def test_file_names_are_no_patterns(warehouse: DuckDBWarehouse, request_for: Request, tmp_path: Path) -> None:
    request = request_for("a", claim(warehouse, "a"))
    odd = tmp_path / "day=[1]*?"
    odd.mkdir()
    moved = [type(f)(f.path.rename(odd / f.path.name), f.size_bytes, f.sha256) for f in request.files]
    (odd / "stray.parquet").write_bytes(b"no parquet")
    done = warehouse.publish(PublishRequest(**{**vars(request), "files": moved}))
    assert done.rows == 6
    assert runs_live(warehouse) == [(DAY, "a", 6)]


def test_reserved_names_are_refused(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    with pytest.raises(PublishError, match="Lockstep's own"):
        warehouse.publish(request_for("a", 1, table="lockstep_ledger"))


def test_times_are_stored_with_their_zone(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    warehouse.publish(request_for("a", claim(warehouse, "a")))
    kinds = query(warehouse, f"SELECT typeof(scored_at), typeof(flight_date), max(scored_at) FROM {TABLE} GROUP BY ALL")
    assert kinds == [("TIMESTAMP WITH TIME ZONE", "DATE", NOW)]


def test_read_table_orders_and_limits(warehouse: DuckDBWarehouse, request_for: Request) -> None:
    warehouse.publish(request_for("a", claim(warehouse, "a")))
    columns, rows = warehouse.read_table(TABLE, limit=2)
    assert columns[:3] == ["flight_date", "flight", "probability_late"]
    assert [row[1] for row in rows] == [0, 1]
    assert warehouse.tables() == ["lockstep_claims", "lockstep_ledger", "model_lineage", TABLE]


def test_decimals_and_nulls_survive(
    warehouse: DuckDBWarehouse, request_for: Request, stage: Callable[..., Any]
) -> None:
    table = pa.table(
        {"flight_date": pa.array([DAY, DAY]), "tailnum": pa.array(["N1", None]), "x": pa.array([None, 2.5])}
    )
    warehouse.publish(request_for("a", claim(warehouse, "a"), rows=2, files=stage("a", table=table)))
    assert query(warehouse, f"SELECT tailnum, x FROM {TABLE} ORDER BY x") == [(None, 2.5), ("N1", None)]


def test_a_tensor_is_an_array_of_its_size(
    warehouse: DuckDBWarehouse, request_for: Request, stage: Callable[..., Any]
) -> None:
    def rows(run_key: str, width: int) -> pa.Table:
        values = pa.array([float(i) for i in range(6 * width)], pa.float32())
        return staged_table(run_key, rows=6).append_column("vector", pa.FixedSizeListArray.from_arrays(values, width))

    for run_key in "ab":
        files = stage(run_key, table=rows(run_key, 2))
        warehouse.publish(request_for(run_key, claim(warehouse, run_key), files=files))
    products = query(warehouse, f"SELECT flight, array_inner_product(vector, vector) FROM {TABLE} ORDER BY flight")
    assert products == [(i, float((2 * i) ** 2 + (2 * i + 1) ** 2)) for i in range(6)]
    wider = request_for("c", claim(warehouse, "c"), files=stage("c", table=rows("c", 3)))
    with pytest.raises(PublishError, match=r"column vector: expected FLOAT\[2\], got FLOAT\[3\]"):
        warehouse.publish(wider)
