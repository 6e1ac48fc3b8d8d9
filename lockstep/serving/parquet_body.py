"""A Parquet body of MLflow's scoring protocol to rows: only the model's columns, and never more than a bound.

A small file may decode to any size: pages are compressed, and a value that repeats is written once. So the footer is
bounded before it is parsed, the headers of the pages before one is decompressed, and texts that repeat are counted
before they are written out.
"""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import RequestInvalid
from lockstep.scoring.signature import Signature, described, fits
from lockstep.serving.arrow_rows import fitted, text_bytes
from lockstep.serving.columns import require
from lockstep.serving.errors import DecodedTooLarge
from lockstep.serving.parquet_pages import PagesInvalid, measure_pages
from lockstep.serving.rows import Rows

MAGIC = b"PAR1"
TAIL_BYTES = 8
# Of hundreds of columns in some row groups; parsed it takes many times as much.
FOOTER_BYTES = 2**20
DECODED_BYTES = 256 * 2**20
# What a decoded value takes at most, apart from text: itself, and where its list and its text end.
VALUE_BYTES = 16
BATCH_ROWS = 65_536
SHOWN_TYPE = 60


def decode_parquet(body: bytes, signature: Signature, *, most_bytes: int = DECODED_BYTES) -> Rows:
    """Decode a Parquet body.

    Args:
        body: A Parquet file.
        signature: What the model declares; other columns are not read.
        most_bytes: Largest size of the decoded columns.

    Raises:
        RequestInvalid: The body is not Parquet or does not fit the signature.
        DecodedTooLarge: It holds too much.
    """
    _check_footer(body)
    try:
        return _read(body, signature, most_bytes=most_bytes)
    except PagesInvalid as error:
        raise _malformed(str(error)) from error
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        # Arrow's own words may quote what is in the file.
        raise _malformed(f"Arrow cannot read it ({type(error).__name__})") from error


def _malformed(problem: str) -> RequestInvalid:
    return RequestInvalid(f"the body is not a valid Parquet file: {problem}")


def _check_footer(body: bytes) -> None:
    if len(body) < len(MAGIC) + TAIL_BYTES or not body.startswith(MAGIC) or not body.endswith(MAGIC):
        raise _malformed("it does not begin and end with PAR1")
    length = int.from_bytes(body[-TAIL_BYTES : -len(MAGIC)], "little")
    if length > FOOTER_BYTES:
        raise _malformed(f"its footer is longer than {FOOTER_BYTES} bytes")


def _read(body: bytes, signature: Signature, *, most_bytes: int) -> Rows:
    metadata, leaves = _declared(body, signature, most_bytes=most_bytes)
    rows = metadata.num_rows
    if not rows or not leaves:
        arrays = [pa.nulls(rows, field.type) for field in signature.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=signature.schema)
    paths = [leaf.path for leaf in leaves]
    # Texts stay in dictionaries until it is known how long they are once written out.
    texts = [leaf.path for leaf in leaves if not leaf.max_repetition_level]
    file = pq.ParquetFile(
        pa.BufferReader(body), read_dictionary=texts, pre_buffer=False, arrow_extensions_enabled=False
    )
    decoded: list[pa.RecordBatch] = []
    left, place = most_bytes, 0
    for batch in file.iter_batches(BATCH_ROWS, row_groups=_filled(metadata), columns=paths, use_threads=False):
        left -= sum(text_bytes(array) for array in batch.columns)
        if left < 0:
            raise DecodedTooLarge(limit_bytes=most_bytes)
        decoded.append(fitted(batch, signature, first=place))
        place += batch.num_rows
    if place != rows:
        raise _malformed("it holds another number of rows than its footer declares")
    return pa.concat_batches(decoded)


def _declared(body: bytes, signature: Signature, *, most_bytes: int) -> tuple[pq.FileMetaData, list[Any]]:
    """Check what a file says of itself; return that, and the leaf columns to read."""
    file = pq.ParquetFile(pa.BufferReader(body), arrow_extensions_enabled=False)
    metadata, chosen = file.metadata, _chosen(file.schema_arrow, signature)
    if metadata.num_rows < 0:
        raise _malformed("it has a negative number of rows")
    if metadata.num_rows * len(signature.inputs) * VALUE_BYTES > most_bytes:
        raise DecodedTooLarge(limit_bytes=most_bytes)
    leaves = _leaves(metadata, chosen)
    left = most_bytes
    for number in _filled(metadata):
        group = metadata.row_group(number)
        for leaf in leaves:
            left -= _decoded_bytes(body, group.column(leaf), metadata.schema.column(leaf))
            if left < 0:
                raise DecodedTooLarge(limit_bytes=most_bytes)
    return metadata, [metadata.schema.column(leaf) for leaf in leaves]


def _filled(metadata: pq.FileMetaData) -> list[int]:
    """Return the numbers of the row groups that have rows; others may have no pages."""
    return [number for number in range(metadata.num_row_groups) if metadata.row_group(number).num_rows > 0]


def _decoded_bytes(body: bytes, chunk: pq.ColumnChunkMetaData, leaf: pq.ColumnSchema) -> int:
    """Return how much a column chunk decodes to at most, but for plain texts that repeat; they are counted later."""
    start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    pages = measure_pages(memoryview(body), start, chunk.total_compressed_size)
    decoded = pages.size_bytes + pages.values * VALUE_BYTES
    if leaf.max_repetition_level and leaf.physical_type == "BYTE_ARRAY":
        decoded += pages.values * pages.dictionary_bytes  # Arrow writes the texts of a list out at once
    return decoded


def _chosen(schema: pa.Schema, signature: Signature) -> frozenset[str]:
    """Check the columns of a file, and return the names of those to read."""
    names = [name for name in schema.names if name in signature.inputs_by_name]
    chosen = frozenset(names)
    if len(chosen) < len(names):
        twice = sorted(name for name in chosen if names.count(name) > 1)
        raise RequestInvalid(f"columns are given twice: {', '.join(twice)}")
    require(chosen, signature)
    for column, wanted in zip(signature.inputs, signature.schema, strict=True):
        got = schema.field(column.name).type if column.name in chosen else wanted.type
        if not fits(got, wanted.type):
            found = str(got)[:SHOWN_TYPE]
            raise RequestInvalid(f"column {column.name!r}: expected {described(column)}, got Parquet's form of {found}")
    return chosen


def _leaves(metadata: pq.FileMetaData, chosen: frozenset[str]) -> list[int]:
    """Return the numbers of the leaf columns that belong to the chosen columns, as Arrow picks them by their path."""
    found = []
    for leaf in range(metadata.num_columns):
        path = metadata.schema.column(leaf).path
        prefixes = {path, *(path[:place] for place, character in enumerate(path) if character == ".")}
        if prefixes & chosen:
            found.append(leaf)
    return found
