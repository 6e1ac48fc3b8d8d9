import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import ColumnMissing
from lockstep.quality.rows import Rows, input_rows, staged_rows
from lockstep.run.plan import DayFilter, ScoringInput
from lockstep.scoring.units import DataFile, plan_units
from lockstep.specs.limits import Limits

DAY = dt.date(2024, 3, 5)
TABLE = pa.table(
    {
        "day": pa.array([DAY, None], pa.date32()),
        "at": pa.array([dt.datetime(2024, 3, 5, 1, tzinfo=dt.UTC)] * 2, pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
        "kind": pa.array(["a", "b"]).dictionary_encode(),
        "n": pa.array([1, None], pa.int32()),
        "x": pa.array([float("nan"), 2.0]),
        "unread": pa.array([1, 2]),
    }
)
NAMES = ["day", "at", "price", "kind", "n", "x"]


def fetched(rows: Rows, names: list[str]) -> list[tuple[Any, ...]]:
    with duckdb.connect(":memory:") as engine:
        listed = ", ".join(f"c{index}" for index in range(len(names))) or "*"
        return engine.execute(f"SELECT {listed} FROM {rows.relation(engine, names=names, known=names)}").fetchall()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "day=[x]*'?" / f"{index}.parquet" for index in range(2)]
    paths[0].parent.mkdir()
    for path in paths:
        pq.write_table(TABLE, path)
    return paths


def test_columns_come_in_comparable_kinds(files: list[Path]) -> None:
    midnight, at = (dt.datetime.fromisoformat(f"2024-03-05T0{hour}:00") for hour in (0, 1))
    first, second = (midnight, at, 1.5, "a", 1, None), (None, at, None, "b", None, 2.0)
    assert sorted(fetched(staged_rows(files, where="x"), NAMES), key=lambda row: row[3]) == [first] * 2 + [second] * 2


def test_batches_give_what_files_give(files: list[Path]) -> None:
    whole = staged_rows(files, where="x")
    streamed = Rows(whole.schema, whole.where, whole.batches)
    assert sorted(map(repr, fetched(streamed, NAMES))) == sorted(map(repr, fetched(whole, NAMES)))


def test_rows_are_counted_without_columns(files: list[Path]) -> None:
    whole = staged_rows(files, where="x")
    assert len(fetched(whole, [])) == len(fetched(Rows(whole.schema, "x", whole.batches), [])) == 4


def test_a_missing_column_is_named(files: list[Path]) -> None:
    with pytest.raises(ColumnMissing, match=r"'humidity' is missing in the input; .* got the columns day, at"):
        fetched(staged_rows(files, where="the input"), ["day", "humidity"])


def test_figures_of_a_tensor_are_columns(tmp_path: Path) -> None:
    vectors = pa.array([[3.0, 4.0], [float("nan"), 1.0], [0.0, -1.0]], pa.list_(pa.float32(), 2))
    file = tmp_path / "0.parquet"
    pq.write_table(pa.table({"k": [1, 2, 3], "embedding": vectors}), file)
    names = ["k", "embedding.norm", "embedding.mean", "embedding.min", "embedding.max"]
    found = fetched(staged_rows([file], where="x"), names)
    assert found == [(1, 5.0, 3.5, 3.0, 4.0), (2, None, None, None, None), (3, 1.0, -0.5, -1.0, 0.0)]
    with pytest.raises(ColumnMissing, match=r"got the columns k, embedding, embedding\.norm"):
        fetched(staged_rows([file], where="x"), ["embedding.median"])
    with pytest.raises(ColumnMissing, match=r"'k\.norm' is missing"):
        fetched(staged_rows([file], where="x"), ["k.norm"])


def make_input(root: Path, *files: DataFile) -> Rows:
    units = plan_units(root, list(files), unit_bytes=1)
    columns = {field.name: str(field.type) for field in TABLE.schema} | {"region": "string"}
    wanted = ScoringInput(rows=sum(unit.rows for unit in units), columns=columns, units=units)
    return input_rows(root, wanted, columns=["n"], limits=Limits(), where="the input")


def test_whole_local_files_of_the_input_are_read_at_once(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "0.parquet", row_group_size=1)
    rows = make_input(tmp_path, DataFile("0.parquet"))
    assert rows.files == (tmp_path / "0.parquet",)
    assert sorted(fetched(rows, ["n"]), key=repr) == [(1,), (None,)]


@pytest.mark.parametrize(
    "facts",
    [{"constants": {"region": "N"}}, {"renamed": {"n": "unread"}}, {"where": DayFilter(column="day", day=DAY)}],
    ids=["constant", "renamed", "filtered"],
)
def test_altered_files_of_the_input_are_read_in_pieces(tmp_path: Path, facts: dict[str, Any]) -> None:
    pq.write_table(TABLE, tmp_path / "0.parquet")
    rows = make_input(tmp_path, DataFile("0.parquet", **facts))
    assert rows.files is None
    found = fetched(rows, ["n"])
    expected = {"constants": [(1,), (None,)], "renamed": [(1,), (2,)], "where": [(1,)]}[next(iter(facts))]
    assert found == expected
