import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import ColumnMissing
from lockstep.quality.frame import read_frame

TABLE = pa.table(
    {
        "day": pa.array([dt.date(2024, 3, 5), None], pa.date32()),
        "at": pa.array([dt.datetime(2024, 3, 5, 1, tzinfo=dt.UTC)] * 2, pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
        "kind": pa.array(["a", "b"]).dictionary_encode(),
        "n": pa.array([1, None], pa.int32()),
        "unread": pa.array([1, 2]),
    }
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "day=x" / f"{index}.parquet" for index in range(2)]
    paths[0].parent.mkdir()
    for path in paths:
        pq.write_table(TABLE, path)
    return paths


def test_only_the_columns_asked_for_are_read_in_comparable_types(files: list[Path]) -> None:
    frame = read_frame(files, columns=["day", "at", "price", "kind", "n"], where="x")
    assert list(frame.columns) == ["day", "at", "price", "kind", "n"]
    assert len(frame) == 4
    assert frame["day"].dtype.kind == frame["at"].dtype.kind == "M"
    assert frame["at"][0] == pd.Timestamp("2024-03-05 01:00")
    assert frame["price"].dtype == "float64"
    assert frame["kind"].tolist() == ["a", "b"] * 2
    assert frame["n"].isna().sum() == 2


def test_rows_are_counted_without_columns(files: list[Path]) -> None:
    assert read_frame(files, columns=[], where="x").shape == (4, 0)


def test_no_file_is_an_empty_frame() -> None:
    assert read_frame([], columns=["a"], where="x").shape == (0, 1)


def test_a_missing_column_is_named(files: list[Path]) -> None:
    with pytest.raises(ColumnMissing, match=r"'humidity' is missing in the input; .* got the columns day, at"):
        read_frame(files, columns=["day", "humidity"], where="the input")


def test_figures_of_a_tensor_are_columns(tmp_path: Path) -> None:
    vectors = pa.array([[3.0, 4.0], [float("nan"), 1.0], [0.0, -1.0]], pa.list_(pa.float32(), 2))
    files = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    for file in files:
        pq.write_table(pa.table({"k": [1, 2, 3], "embedding": vectors}), file)
    columns = ["embedding.norm", "k", "embedding.mean", "embedding.min", "embedding.max", "embedding"]
    frame = read_frame(files, columns=columns, where="x")
    assert list(frame.columns) == columns
    assert frame["embedding.norm"].dropna().tolist() == [5.0, 1.0] * 2
    assert np.isnan(frame["embedding.norm"][1])
    assert frame["k"].tolist() == [1, 2, 3] * 2
    assert frame["embedding.mean"][5] == -0.5
    assert (frame["embedding.min"][0], frame["embedding.max"][0]) == (3.0, 4.0)
    assert frame["embedding"][0].tolist() == [3.0, 4.0]
    with pytest.raises(ColumnMissing, match=r"got the columns k, embedding, embedding\.norm"):
        read_frame(files, columns=["embedding.median"], where="x")
    with pytest.raises(ColumnMissing, match=r"'k\.norm' is missing"):
        read_frame(files, columns=["k.norm"], where="x")
