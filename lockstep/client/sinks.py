"""Where predictions go, a batch at a time: JSON, JSON lines, CSV, Parquet; to a stream, or to a file as a whole.

A file appears when it is complete. Until then its rows are beside it, and they are removed when something fails.
"""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.client.answers import Prediction
from lockstep.client.errors import OutputUnwritable, RowsUnfit
from lockstep.client.fitting import fit
from lockstep.client.sources import Batch
from lockstep.run.plan import Column


class Writer(Protocol):
    """Writes tables of one schema to a binary stream."""

    def write(self, table: pa.Table) -> None:
        """Write rows."""

    def close(self) -> None:
        """Write what comes after the last row; the stream stays open."""


class JsonWriter:
    """Records: one on each line, or as one array."""

    def __init__(self, stream: io.BufferedIOBase, *, lines: bool) -> None:
        self._stream = stream
        self._lines = lines
        self._rows = 0

    def write(self, table: pa.Table) -> None:
        """Write rows."""
        for record in table.to_pylist():
            before = b"" if self._lines else (b",\n" if self._rows else b"[\n")
            self._stream.write(before + orjson.dumps(record, default=str) + (b"\n" if self._lines else b""))
            self._rows += 1
        self._stream.flush()

    def close(self) -> None:
        """End the array."""
        if not self._lines:
            self._stream.write(b"\n]\n" if self._rows else b"[]\n")


class CsvWriter:
    """A header line and a line for each row; floats so that they read back to the same bits, tensors as JSON."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._begun = False

    def write(self, table: pa.Table) -> None:
        """Write rows."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self._begun:
            writer.writerow(table.column_names)
            self._begun = True
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            writer.writerow([_cell(value) for value in row])
        self._stream.write(text.getvalue().encode())
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: after the last row nothing comes."""


class ParquetRows:
    """A Parquet file; later rows take the types of the first ones."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._file: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        """Write rows.

        Raises:
            RowsUnfit: They do not have the types of the first ones.
        """
        if self._file is None:
            self._file = pq.ParquetWriter(self._stream, table.schema)
        try:
            self._file.write_table(table.cast(self._file.schema))
        except (pa.ArrowException, ValueError) as error:
            raise RowsUnfit("a column has another type than in the rows before, which Parquet cannot hold") from error

    def close(self) -> None:
        """Write the footer."""
        if self._file is not None:
            self._file.close()


WRITERS: dict[str, Callable[[Any], Writer]] = {
    "json": lambda stream: JsonWriter(stream, lines=False),
    "jsonl": lambda stream: JsonWriter(stream, lines=True),
    "csv": CsvWriter,
    "parquet": ParquetRows,
}


class NewFile:
    """A file that appears under its name when the `with` block ends well, and else not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path = path.resolve()  # a link goes on to lead to the file
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._stream: io.BufferedWriter | None = None

    def __enter__(self) -> io.BufferedWriter:
        """Open it; raises `OutputUnwritable`."""
        if self._path.exists() and not self._path.is_file():
            raise OutputUnwritable(str(self._path), problem="it is something else than a file")
        try:
            self._stream = self._beside.open("xb")
        except OSError as error:
            raise OutputUnwritable(str(self._path), problem=str(error.strerror)) from error
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Rename or remove it; raises `OutputUnwritable`, also for what failed in the block, such as a full disk."""
        try:
            if self._stream is not None:
                self._stream.close()
            if kind is None:
                self._beside.replace(self._path)
                return
        except OSError as failed:
            error = failed
        self._beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputUnwritable(str(self._path), problem=str(error.strerror or error)) from error


def with_outputs(batch: Batch | None, prediction: Prediction, *, inputs: Sequence[Column] = ()) -> pa.Table:
    """Return the outputs as a table, behind the columns of the input if there are some.

    An output that is named as a column of the input is called `predicted_` and its name.

    Args:
        batch: The input; none: the outputs alone.
        prediction: For its rows.
        inputs: Of the model: these columns have its types, so that all batches have the same.
    """
    outputs = prediction.table
    if batch is None:
        return outputs
    columns = _columns(batch, {column.name: column for column in inputs})
    for name in outputs.column_names:
        columns[name if name not in columns else f"predicted_{name}"] = outputs.column(name)
    return pa.table(columns)


def _columns(batch: Batch, inputs: Mapping[str, Column]) -> dict[str, Any]:
    if isinstance(batch, Mapping):
        return {name: fit(each, inputs[name]) if name in inputs else _array(each) for name, each in batch.items()}
    return dict(zip(batch.column_names, batch.columns, strict=True))


def _array(values: Any) -> pa.Array:
    try:
        array = pa.array(values)
        return array.cast(pa.string()) if pa.types.is_null(array.type) else array
    except (pa.ArrowException, OverflowError):  # of several types: as text
        return pa.array([None if value is None else _cell(value) for value in values], pa.string())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict | np.ndarray):
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=str).decode()
    return str(value)
