import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.quality.footers import constants

DAY = dt.date(2024, 3, 5)


def written(folder: Path, *columns: pa.Array, **options: Any) -> list[Path]:
    paths = [folder / f"{number}.parquet" for number in range(len(columns))]
    for path, column in zip(paths, columns, strict=True):
        pq.write_table(pa.table({"c": column, "n": pa.array(range(len(column)))}), path, row_group_size=2, **options)
    return paths


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC")], ids=str)
def test_one_value_everywhere_is_known(tmp_path: Path, kind: pa.DataType) -> None:
    column = pa.array([DAY] * 5, pa.date32()).cast(pa.timestamp("us")).cast(kind)
    assert constants(written(tmp_path, column, column), ["c", "n"]) == {"c": column[0].as_py()}


@pytest.mark.parametrize(
    "columns",
    [
        [pa.array([1, 1, 1, 2])],
        [pa.array([1, 1]), pa.array([2, 2])],
        [pa.array([1, 1, None])],
        [pa.array([None, None], pa.int64())],
        [pa.array([1.0, float("nan")])],
        [pa.array(["x", "x"])],
        [pa.array([], pa.int64())],
    ],
    ids=["groups", "files", "null", "nulls", "nan", "text", "empty"],
)
def test_what_is_not_certain_is_not_said(tmp_path: Path, columns: list[pa.Array]) -> None:
    assert constants(written(tmp_path, *columns), ["c"]) == {}


def test_without_statistics_nothing_is_known(tmp_path: Path) -> None:
    assert constants(written(tmp_path, pa.array([1, 1]), write_statistics=False), ["c"]) == {}
    assert constants([], ["c"]) == {}
