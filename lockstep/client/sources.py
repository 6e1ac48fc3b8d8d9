"""Rows from files and standard input, a batch at a time: CSV, JSON, JSON lines, Parquet, Arrow.

A cell means what it means to the endpoint. Columns that the model does not take come along as they are.
"""

import codecs
import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, get_args

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from lockstep.client.errors import FileUnfit, RowsUnfit
from lockstep.client.fitting import by_column
from lockstep.client.json_rows import Record, lines_of, records_of
from lockstep.errors import LockstepError
from lockstep.run.plan import Column
from lockstep.serving.formats import CSV_CELLS

Format = Literal["csv", "json", "jsonl", "parquet", "arrow"]
Batch: TypeAlias = pa.Table | Mapping[str, Sequence[Any]]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".arrow": "arrow",
    ".feather": "arrow", ".ipc": "arrow", ".arrows": "arrow",
}  # fmt: skip
ARROW_FILE, ARROW_STREAM, PARQUET = b"ARROW1", b"\xff\xff\xff\xff", b"PAR1"
# Up to here standard input is kept in memory when it has to be read from its end.
SPOOLED_BYTES = 64 * 2**20


def format_of(name: str, stream: io.BufferedReader) -> Format:
    """Guess the format of a file from its suffix, else from how it begins, without moving in it."""
    found = SUFFIXES.get(Path(name).suffix.lower())
    if found is not None:
        return found
    begin = stream.peek(8)
    if begin.startswith(PARQUET):
        return "parquet"
    if begin.startswith((ARROW_FILE, ARROW_STREAM)):
        return "arrow"
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return "json"
    return "jsonl" if text.startswith(b"{") else "csv"


def read_batches(
    stream: io.BufferedReader, kind: Format, *, name: str, inputs: Sequence[Column], rows: int
) -> Iterator[Batch]:
    """Read a file in batches of so many rows.

    Args:
        stream: The file, from its beginning.
        kind: Its format.
        name: What errors call it.
        inputs: Of the model: says how the cells of a CSV file are read.
        rows: Of a batch, at most.

    Raises:
        FileUnfit: It is not of that format.
    """
    if kind not in get_args(Format):
        raise FileUnfit(name, problem=f"{kind!r} is no format; expected {', '.join(get_args(Format))}")
    read = READERS[kind]
    try:
        yield from read(stream, inputs, rows)
    except LockstepError as error:
        raise FileUnfit(name, problem=str(error)) from error
    except OSError as error:  # also Arrow's own, of a file that is damaged
        raise FileUnfit(name, problem=error.strerror or f"it is not valid {kind}") from error
    except (pa.ArrowException, csv.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        # Without the library's own words: they may quote what is in the file.
        raise FileUnfit(name, problem=f"it is not valid {kind}") from error


def _csv(stream: io.BufferedReader, inputs: Sequence[Column], rows: int) -> Iterator[Batch]:
    reader = csv.reader(codecs.iterdecode(stream, "utf-8-sig"), strict=True)
    names = next(reader, None)
    if not names:
        raise RowsUnfit("expected a header line with the column names")
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise RowsUnfit(f"columns are given twice: {', '.join(twice)}")
    kinds = {column.name: column.dtype for column in inputs}
    cells: list[Callable[[str], Any]] = [CSV_CELLS.get(kinds.get(each, "string"), _text) for each in names]
    first, lines = 0, (line for line in reader if line)
    while batch := list(islice(lines, rows)):
        for row, line in enumerate(batch, first):
            if len(line) != len(names):
                raise RowsUnfit(f"row {row} has {len(line)} values, the header {len(names)}")
        yield {
            each: [read(cell) for cell in column]
            for each, read, column in zip(names, cells, zip(*batch, strict=True), strict=True)
        }
        first += len(batch)


def _text(cell: str) -> str | None:
    return cell or None


def _json(stream: io.BufferedReader, inputs: Sequence[Column], rows: int) -> Iterator[Batch]:
    yield from _batches(iter(records_of(stream.read())), inputs, rows)


def _json_lines(stream: io.BufferedReader, inputs: Sequence[Column], rows: int) -> Iterator[Batch]:
    yield from _batches(lines_of(stream), inputs, rows)


def _batches(records: Iterator[Record], inputs: Sequence[Column], rows: int) -> Iterator[Batch]:
    """Yield records by column; in a column that the model does not take, what a record lacks is missing."""
    wanted, first = {column.name for column in inputs}, 0
    while batch := list(islice(records, rows)):
        others = {name: None for record in batch for name in record if name not in wanted}
        yield by_column([others | record for record in batch], first=first)
        first += len(batch)


def _parquet(stream: io.BufferedReader, _: Sequence[Column], rows: int) -> Iterator[Batch]:
    with _seekable(stream) as file:
        for batch in pq.ParquetFile(file).iter_batches(rows):
            yield pa.table(batch)


def _arrow(stream: io.BufferedReader, _: Sequence[Column], rows: int) -> Iterator[Batch]:
    if not stream.peek(8).startswith(ARROW_FILE):
        for batch in pyarrow.ipc.open_stream(stream):
            yield from _cut(batch, rows)
        return
    with _seekable(stream) as file:
        opened = pyarrow.ipc.open_file(file)
        for number in range(opened.num_record_batches):
            yield from _cut(opened.get_batch(number), rows)


def _cut(batch: pa.RecordBatch, rows: int) -> Iterator[pa.Table]:
    for first in range(0, batch.num_rows, rows):
        yield pa.table(batch.slice(first, rows))


def _seekable(stream: io.BufferedReader) -> IO[bytes]:
    """Return a file that can be read from its end; a pipe is copied, a large one to disk."""
    if stream.seekable():
        return stream
    copy = tempfile.SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115 - the caller closes it
    while piece := stream.read(2**20):
        copy.write(piece)
    copy.seek(0)
    return copy


READERS: dict[str, Callable[[io.BufferedReader, Sequence[Column], int], Iterator[Batch]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _json_lines,
    "parquet": _parquet,
    "arrow": _arrow,
}
