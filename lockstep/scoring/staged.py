"""Staged files: what a scored row looks like on disk, and bytes that depend on the rows alone."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.run.plan import Plan

COMPRESSION = "zstd"
# A row group holds this many bytes of values or rows, whichever is less.
GROUP_BYTES, GROUP_ROWS = 64 * 2**20, 131_072
TEXT_BYTES = 32  # taken for the width of a text
SCHEMA_KEY = "ARROW:schema"  # where Arrow's own reader looks for types that Parquet does not have


def stamp_columns(plan: Plan) -> dict[str, pa.Scalar]:
    """Return the values that every row of a run is stamped with.

    `scored_at` is when the run was planned: the same for all rows and attempts, so that a repeated unit is the same
    file to the last byte.
    """
    return {
        "model_name": pa.scalar(plan.model.name, pa.string()),
        "model_version": pa.scalar(plan.model.version, pa.int64()),
        "model_digest": pa.scalar(plan.model.digest, pa.string()),
        "run_key": pa.scalar(plan.run_key, pa.string()),
        "scored_at": pa.scalar(plan.planned_at, pa.timestamp("us", tz="UTC")),
    }


class Stamps:
    """The stamp columns for batches of any length, made once: a text is one dictionary entry, not a copy per row."""

    def __init__(self, values: Mapping[str, pa.Scalar]) -> None:
        self._values = values
        self._columns: dict[str, pa.Array] = {}
        self._rows = -1

    def columns(self, rows: int) -> dict[str, pa.Array]:
        """Return one array of `rows` values per stamp."""
        if rows > self._rows:
            self._columns = {name: _repeated(value, rows) for name, value in self._values.items()}
            self._rows = rows
        return {name: array.slice(0, rows) for name, array in self._columns.items()}


def _repeated(value: pa.Scalar, rows: int) -> pa.Array:
    if not pa.types.is_string(value.type):
        return pa.repeat(value, rows)
    places = pa.array(np.zeros(rows, dtype=np.int32))
    return pa.DictionaryArray.from_arrays(places, pa.array([value.as_py()], pa.string()))


def names_model(file: Path, digest: str) -> bool:
    """Whether a staged file is of the model with a digest, by its first row; one without rows may be of any."""
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(batch_size=1, columns=["model_digest"]):
            return bool(batch.column(0)[0].as_py() == digest)
    return True


class StagedWriter:
    """Writes batches to a Parquet file in row groups of a size that does not depend on that of the batches.

    The schema is that of the first batch, with dictionaries as what they stand for. No file is made without a batch.
    """

    def __init__(self, path: Path, *, constant: Sequence[str] = ()) -> None:
        """Prepare to write.

        Args:
            path: The file.
            constant: Columns with one value for all rows, which get no statistics.
        """
        self._path = path
        self._constant = constant
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._group_rows = GROUP_ROWS

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; full row groups go to the file."""
        if self._writer is None:
            self._writer = _open(self._path, batch.schema, constant=self._constant)
            self._group_rows = group_rows(batch.schema)
        self._waiting.append(batch)
        self._rows += batch.num_rows
        while self._rows >= self._group_rows:
            self._flush(self._group_rows)

    def _flush(self, rows: int) -> None:
        if self._writer is None or not rows:
            return
        table = pa.Table.from_batches(self._waiting)
        group = table.slice(0, rows).combine_chunks()
        self._writer.write_table(pa.Table.from_arrays(group.columns, schema=self._writer.schema), row_group_size=rows)
        self._waiting = table.slice(rows).to_batches()
        self._rows -= rows

    def __enter__(self) -> "StagedWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._writer is None:
            return
        if kind is None:
            self._flush(self._rows)
        self._writer.close()


def group_rows(schema: pa.Schema) -> int:
    """Return the rows of a row group: as many as `GROUP_BYTES` hold, by the types of the columns."""
    width = sum(_width(field.type) for field in schema)
    return max(1, min(GROUP_ROWS, GROUP_BYTES // max(width, 1)))


def _width(kind: pa.DataType) -> int:
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    if pa.types.is_dictionary(kind):
        return 1
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # text and lists have no fixed width
        return TEXT_BYTES


def _open(path: Path, schema: pa.Schema, *, constant: Sequence[str]) -> pq.ParquetWriter:
    # A column that is declared to have no nulls is written faster.
    schema = pa.schema([field.with_nullable(field.name not in constant) for field in schema])
    plain = pa.schema([pa.field(field.name, _plain(field.type), nullable=field.nullable) for field in schema])
    texts = {field.name for field in plain if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)}
    encoded = [field.name for field in plain if field.name in texts or field.name in constant]
    encodings = {field.name: _encoding(field.type) for field in plain if field.name not in encoded}
    writer = pq.ParquetWriter(
        path,
        schema,
        compression=COMPRESSION,
        coerce_timestamps="us",
        use_dictionary=encoded,
        column_encoding={name: encoding for name, encoding in encodings.items() if encoding} or None,
        write_statistics=[field.name for field in plain if field.name not in constant],
        store_schema=False,
    )
    stored = base64.b64encode(plain.serialize().to_pybytes()).decode("ascii")
    writer.add_key_value_metadata({SCHEMA_KEY: stored})
    return writer


def _encoding(kind: pa.DataType) -> str | None:
    """Return the Parquet encoding of a column that is no dictionary; none for the plain one.

    Scores hardly repeat; split into streams of bytes, only their first bytes and padding are left to compress, which
    takes half the time and a tenth less space. Keys mostly grow by small steps.
    """
    if pa.types.is_integer(kind):
        return "DELTA_BINARY_PACKED"
    return "BYTE_STREAM_SPLIT" if pa.types.is_float32(kind) or pa.types.is_float64(kind) else None


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def good_rows(batch: pa.RecordBatch, bad: Sequence[int]) -> pa.RecordBatch:
    """Return a batch without some rows."""
    if not bad:
        return batch
    keep = np.ones(batch.num_rows, dtype=bool)
    keep[list(bad)] = False
    return batch.filter(pa.array(keep))
