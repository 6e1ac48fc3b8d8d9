from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lockstep.publish.online.contract import OnlineShape
from lockstep.publish.online.errors import OnlineRowsUnfit
from lockstep.publish.online.row_format import RowFormat
from lockstep.publish.online.staged_rows import StagedRows
from tests.unit.publish.online.loads import SHAPE, run_rows

WHERE = ("scores_table", "2024-03-05")


def staged(rows: pa.Table | ds.Dataset, shape: OnlineShape = SHAPE) -> StagedRows:
    return StagedRows(lambda: rows, shape, WHERE, rows.count_rows() if isinstance(rows, ds.Dataset) else rows.num_rows)


def read(rows: StagedRows, chunk: int = 4) -> list[tuple[bytes, Any, str]]:
    """Key, columns and run key of each row."""
    pairs = [pair for some in rows.chunks(chunk) for pair in some]
    batch, makers = RowFormat(rows._format.schema).decode([content for _, content in pairs])
    return [
        (key, values, rows.makers[maker].run_key)
        for (key, _), values, maker in zip(pairs, batch.to_pylist(), makers.tolist(), strict=True)
    ]


def test_each_row_keeps_its_own_maker_as_in_a_canary() -> None:
    parts = [run_rows("a", rows=3), run_rows("b", rows=4, first=3, version=2), run_rows("a", rows=2, first=7)]
    rows = staged(pa.concat_tables(parts))
    assert [run for _, _, run in read(rows)] == ["a"] * 3 + ["b"] * 4 + ["a"] * 2
    assert [(maker.run_key, maker.model_version) for maker in rows.makers] == [("a", 1), ("b", 2)]


def test_files_and_tables_give_the_same_rows_whether_texts_are_encoded_or_not(tmp_path: Path) -> None:
    table = run_rows("a", rows=10)
    pq.write_table(table, tmp_path / "a.parquet")
    encoded = table.set_column(2, "depot", table.column("depot").dictionary_encode())
    shape = OnlineShape(key=("id", "depot"), columns=("risk",))
    plain = read(staged(table, shape))
    assert plain == read(staged(encoded, shape)) == read(staged(ds.dataset(tmp_path / "a.parquet"), shape))
    assert plain[1] == (b"1:11:S", {"risk": 0.125}, "a")


def test_rows_of_an_earlier_run_may_lack_a_column_and_not_all() -> None:
    wide = OnlineShape(key=("id",), columns=("risk", "margin"))
    assert read(staged(run_rows("a", rows=1), wide)) == [(b"1:0", {"risk": 0.0}, "a")]
    with pytest.raises(OnlineRowsUnfit, match="none of the columns margin"):
        read(staged(run_rows("a"), OnlineShape(key=("id",), columns=("margin",))))


def test_a_partition_without_rows_has_none() -> None:
    rows = staged(run_rows("a", rows=0))
    assert (list(rows.chunks(5)), rows.rows, rows.makers, rows.kinds) == ([], 0, (), ())


@pytest.mark.parametrize(
    ("column", "shape", "message"),
    [
        (pa.array([0.5, 1.5]), {"key": ("x",)}, "key column 'x' is double; expected a column of text, a whole number"),
        (pa.array([[1], [2]]), {"columns": ("x",)}, "column 'x' is list<.*>, which an online store cannot keep"),
        (pa.array([1, 2]), {"key": ("city",)}, "no column 'city', which is in its key"),
        (pa.array([7_000_000_001, 2], pa.timestamp("ns")), {"key": ("x",)}, "values that cannot be kept"),
        (
            pa.array([[1.0, None], [2.0, 7_000_000_001]], pa.list_(pa.float64(), 2)),
            {"columns": ("x",)},
            "a list of numbers, or a number in it, is null",
        ),
    ],
)
def test_what_cannot_be_looked_up_is_told_without_a_value(
    column: pa.Array, shape: dict[str, Any], message: str
) -> None:
    table = run_rows("a", rows=2).append_column("x", column)
    rows = staged(table, OnlineShape(**{"key": ("id",), "columns": ("risk",), **shape}))
    for _ in range(2):
        with pytest.raises(OnlineRowsUnfit, match=message) as caught:
            read(rows)
        assert "7000000001" not in str(caught.value)


def test_other_rows_than_went_live_are_refused() -> None:
    rows = StagedRows(lambda: run_rows("a", rows=5), SHAPE, WHERE, 6)
    with pytest.raises(OnlineRowsUnfit, match="5 rows were read, and 6 went live"):
        list(rows.chunks(2))
