"""Rows of stored tables as the Python workers read them; here from files on a disk, by the same code."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.data.stored_source import Days, _files, _rows
from lockstep.specs.input_spec import Source
from lockstep.storage.files import Location, write_whole
from lockstep.storage.objects import ObjectPath

DAY = dt.date(2024, 1, 2)
SCHEMA = pa.schema([("day", pa.date32()), ("id", pa.int64()), ("km", pa.float64())])


def test_columns_have_the_wanted_order_and_type_and_are_null_where_a_file_is_older(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"km": [1.5, None], "other": ["a", "b"], "id": pa.array([1, 2], pa.int32())}), tmp_path / "new"
    )
    pq.write_table(pa.table({"id": pa.array([3], pa.int64())}), tmp_path / "old")
    rows = [batch for name in ("new", "old") for batch in _rows(str(tmp_path / name), DAY, SCHEMA, dated=True)]
    table = pa.Table.from_batches(rows, SCHEMA)
    assert table.to_pydict() == {"day": [DAY] * 3, "id": [1, 2, 3], "km": [1.5, None, None]}


def test_only_the_files_of_the_wanted_days_are_read(place: Location) -> None:
    source = Source.model_validate({"path": "t", "partition": "day", "days": [-1, 0], "columns": {"id": "long"}})
    for name in (
        "day=2023-12-31/a",
        "day=2024-01-01/b",
        "day=2024-01-02/_hidden",
        "day=2024-01-02/c",
        "day=2024-01-03/d",
    ):
        write_whole(place.joinpath(*f"t/{name}.parquet".split("/")), b"x")
    if not isinstance(place, ObjectPath):
        return  # Spark reads it
    found = _files(source, place / "t", Days(DAY, DAY).shifted((-1, 0)))
    assert [(path.rpartition("/")[2], day.day if day else None) for path, day in found] == [
        ("b.parquet", 1),
        ("c.parquet", 2),
    ]
