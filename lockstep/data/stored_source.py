"""Source tables in object stores as Spark data frames, read by the Python workers.

So Spark needs no connector for the store, credentials come by one chain (`lockstep.storage`), and what a query sees is
the same for every store. Only the files of the wanted days are opened, and only the columns that the spec lists.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from lockstep.errors import ColumnMissing
from lockstep.scoring.pieces import opened, read_footer
from lockstep.specs.input_spec import Source
from lockstep.storage.objects import ObjectPath

BATCH_ROWS = 65_536
# Files that a task reads, at most as many tasks as this.
MOST_TASKS = 1_000
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Days:
    """A range of days, both ends included."""

    first: dt.date
    last: dt.date

    def shifted(self, window: tuple[int, int]) -> "Days":
        """Return the days that a source's window covers for all days of this range."""
        return Days(self.first + dt.timedelta(days=window[0]), self.last + dt.timedelta(days=window[1]))

    def each(self) -> Iterator[dt.date]:
        """Return the days in order."""
        return (self.first + dt.timedelta(days=n) for n in range((self.last - self.first).days + 1))


def stored_frame(
    spark: SparkSession, source: Source, root: ObjectPath, *, days: Days | None, every_column: bool = False
) -> DataFrame:
    """Read the listed columns of a source, of all days or of some.

    Args:
        spark: A running session.
        source: As the spec declares it.
        root: Folder of the table.
        days: The wanted days; none: the whole table.
        every_column: Also those that the spec does not list, which a label query may want.

    Raises:
        ColumnMissing: The table lacks a listed column.
        FileUnreadable: A file cannot be read.
    """
    files = _files(source, root, days)
    columns = [name for name in source.columns if name != source.partition]
    kinds = [] if source.partition is None else [pa.field(source.partition, pa.date32())]
    if not files:
        listed = ", ".join(f"{name} {kind}" for name, kind in source.columns.items() if name != source.partition)
        dated = f"{source.partition} date, " if source.partition else ""
        return spark.createDataFrame([], dated + listed)
    stored = read_footer(files[0][0]).schema.to_arrow_schema()
    if every_column:
        columns = [name for name in stored.names if name != source.partition]
    for name in columns:
        if name not in stored.names:
            raise ColumnMissing(name, where=source.path, expected="a column that the spec lists", got=stored.names)
    schema = pa.schema([*kinds, *(stored.field(name).remove_metadata() for name in columns)])
    tasks = min(len(files), MOST_TASKS)
    numbers = spark.range(0, len(files), 1, tasks)
    return numbers.mapInArrow(_reading(files, schema, dated=bool(kinds)), _spark_schema(schema))


def _files(source: Source, root: ObjectPath, days: Days | None) -> list[tuple[str, dt.date | None]]:
    if source.partition is None or days is None:
        return [(str(file), None) for file in _parquet(root)]
    folders = ((day, root / f"{source.partition}={day.isoformat()}") for day in days.each())
    return [(str(file), day) for day, folder in folders for file in _parquet(folder)]


def _parquet(folder: ObjectPath) -> list[ObjectPath]:
    return [file for file in folder.glob("*.parquet") if not file.name.startswith(("_", "."))]


def _spark_schema(schema: pa.Schema) -> Any:
    return from_arrow_schema(schema, prefer_timestamp_ntz=True)


def _reading(
    files: Sequence[tuple[str, dt.date | None]], schema: pa.Schema, *, dated: bool
) -> Callable[[Batches], Batches]:
    """Make the function of the Python workers: from numbers of files to their rows."""

    def read(batches: Batches) -> Batches:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                path, day = files[number]
                yield from _rows(path, day, schema, dated=dated)

    return read


def _rows(path: str, day: dt.date | None, schema: pa.Schema, *, dated: bool) -> Batches:
    names = schema.names[1:] if dated else schema.names
    with opened(path, root=None) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False):
            arrays = [_column(batch, schema.field(name)) for name in names]
            if dated:
                arrays.insert(0, pa.repeat(pa.scalar(day, pa.date32()), batch.num_rows))
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """Return a column as the first file has it; null where a file is older than the column, as Spark does."""
    if field.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, field.type)
    return batch.column(field.name).cast(field.type)
