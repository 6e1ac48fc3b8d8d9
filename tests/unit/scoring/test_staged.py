"""Staged files: bytes that depend on the rows alone."""

import datetime as dt
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.scoring import staged
from lockstep.scoring.staged import StagedWriter, Stamps, good_rows, group_rows

TABLE = pa.table(
    {
        "day": pa.array([dt.date(2024, 1, 1)] * 100),
        "id": pa.array(range(100), pa.int64()),
        "name": pa.array([None if i % 9 == 0 else f"n{i % 7}" for i in range(100)]),
        "score": pa.array(np.sin(np.arange(100.0))),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(300, dtype=np.float32)), 3),
        "at": pa.array([dt.datetime(2024, 1, 2, tzinfo=dt.UTC)] * 100, pa.timestamp("us", tz="UTC")),
    }
)


def write(path: Path, cuts: list[int]) -> bytes:
    """Write the table in batches between cuts."""
    bounds = [0, *sorted(cuts), TABLE.num_rows]
    with StagedWriter(path) as writer:
        for start, stop in itertools.pairwise(bounds):
            for batch in TABLE.slice(start, stop - start).to_batches() or [TABLE.slice(0, 0).combine_chunks()]:
                if isinstance(batch, pa.RecordBatch):
                    writer.write(batch)
    return path.read_bytes()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 100), max_size=8))
def test_bytes_do_not_depend_on_the_batches(tmp_path: Path, cuts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "GROUP_ROWS", 32)
    assert write(tmp_path / "a.parquet", cuts) == write(tmp_path / "b.parquet", [])
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 4
    assert pq.read_table(tmp_path / "a.parquet").equals(TABLE)


def test_types_come_back_as_they_were(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [])
    assert pq.read_schema(tmp_path / "a.parquet").equals(TABLE.schema)


def test_stamps_are_plain_columns_for_readers(tmp_path: Path) -> None:
    stamps = Stamps({"model": pa.scalar("m"), "version": pa.scalar(3, pa.int64())})
    with StagedWriter(tmp_path / "a.parquet", constant=["model", "version"]) as writer:
        for rows in (5, 100, 0, 7):
            columns = {"id": pa.array(range(rows), pa.int64()), **stamps.columns(rows)}
            writer.write(pa.RecordBatch.from_pydict(columns))
    table = pq.read_table(tmp_path / "a.parquet")
    stamped = [pa.field("model", pa.string(), nullable=False), pa.field("version", pa.int64(), nullable=False)]
    assert table.schema == pa.schema([pa.field("id", pa.int64()), *stamped])
    assert table.num_rows == 112
    assert set(table.column("model").to_pylist()) == {"m"}
    assert set(table.column("version").to_pylist()) == {3}


def test_without_a_batch_there_is_no_file(tmp_path: Path) -> None:
    with StagedWriter(tmp_path / "a.parquet"):
        pass
    assert not (tmp_path / "a.parquet").exists()


def test_a_batch_without_rows_makes_an_empty_file(tmp_path: Path) -> None:
    with StagedWriter(tmp_path / "a.parquet") as writer:
        writer.write(pa.RecordBatch.from_pydict({"id": pa.array([], pa.int64())}))
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


def test_wide_rows_make_smaller_groups() -> None:
    assert group_rows(pa.schema([("id", pa.int64())])) == staged.GROUP_ROWS
    wide = group_rows(pa.schema([("vector", pa.list_(pa.float32(), 1 << 16))]))
    assert wide == staged.GROUP_BYTES // (4 << 16)
    assert group_rows(pa.schema([("image", pa.list_(pa.float32(), 1 << 30))])) == 1


def test_good_rows() -> None:
    batch = TABLE.to_batches()[0]
    assert good_rows(batch, []) is batch
    assert good_rows(batch, [0, 99]).column("id").to_pylist() == list(range(1, 99))
