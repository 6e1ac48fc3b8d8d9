"""A Parquet body of MLflow's scoring protocol to rows: only the model's columns, and never more than a bound.

A small file may decode to any size: pages are compressed, and a value that repeats is written once. So the footer is
bounded before it is parsed, the headers of the pages before one is decompressed, and texts that repeat are counted
before they are written out.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import RequestInvalid
from lockstep.scoring.signature import Signature, described, fits
from lockstep.serving.arrow_rows import fitted, text_bytes
from lockstep.serving.columns import require
from lockstep.serving.errors import DecodedTooLarge
from lockstep.serving.parquet_pages import FileDamaged, RowGroup, measure_pages, read_footer
from lockstep.serving.rows import Rows

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
    try:
        return _read(body, signature, most_bytes=most_bytes)
    except FileDamaged as error:
        raise _malformed(str(error)) from error
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        # Arrow's own words may quote what is in the file.
        raise _malformed("Arrow cannot read it") from error


def _malformed(problem: str) -> RequestInvalid:
    return RequestInvalid(f"the body is not a valid Parquet file: {problem}")


def _read(body: bytes, signature: Signature, *, most_bytes: int) -> Rows:
    groups = read_footer(body)
    file = pq.ParquetFile(pa.BufferReader(body), arrow_extensions_enabled=False)
    rows, columns = file.metadata.num_rows, file.metadata.schema
    if rows != sum(group.rows for group in groups):
        raise FileDamaged("its footer declares two numbers of rows")
    leaves = _leaves(columns, _chosen(file.schema_arrow, signature))
    if rows * len(signature.inputs) * VALUE_BYTES > most_bytes:
        raise DecodedTooLarge(limit_bytes=most_bytes)
    if not rows or not leaves:
        arrays = [pa.nulls(rows, field.type) for field in signature.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=signature.schema)
    _bound(body, groups, {leaf: columns.column(leaf) for leaf in leaves}, most_bytes=most_bytes)
    # Texts stay in dictionaries until it is known how long they are once written out.
    texts = [columns.column(leaf).path for leaf in leaves if not columns.column(leaf).max_repetition_level]
    source = pq.ParquetFile(
        pa.BufferReader(body), read_dictionary=texts, pre_buffer=False, arrow_extensions_enabled=False
    )
    batches = source.iter_batches(
        BATCH_ROWS,
        row_groups=[number for number, group in enumerate(groups) if group.rows],  # the others may have no pages
        columns=[columns.column(leaf).path for leaf in leaves],
        use_threads=False,
    )
    return _joined(batches, signature, rows=rows, most_bytes=most_bytes)


def _joined(batches: Iterable[pa.RecordBatch], signature: Signature, *, rows: int, most_bytes: int) -> pa.RecordBatch:
    decoded: list[pa.RecordBatch] = []
    left, place = most_bytes, 0
    for batch in batches:
        left -= sum(text_bytes(array) for array in batch.columns)
        if left < 0:
            raise DecodedTooLarge(limit_bytes=most_bytes)
        decoded.append(fitted(batch, signature, first=place))
        place += batch.num_rows
    if place != rows:
        raise FileDamaged("it holds another number of rows than its footer declares")
    return pa.concat_batches(decoded)


def _bound(body: bytes, groups: list[RowGroup], leaves: dict[int, pq.ColumnSchema], *, most_bytes: int) -> None:
    """Refuse a file of which the leaf columns decode to too much; plain texts that repeat are counted later."""
    left = most_bytes
    for group in groups:
        for number, leaf in leaves.items() if group.rows else ():
            if number >= len(group.chunks):
                raise FileDamaged("a row group lacks a column")
            pages = measure_pages(body, *group.chunks[number])
            left -= pages.size_bytes + pages.values * VALUE_BYTES
            if leaf.max_repetition_level and leaf.physical_type == "BYTE_ARRAY":
                left -= pages.values * pages.dictionary_bytes  # Arrow writes the texts of a list out at once
            if left < 0:
                raise DecodedTooLarge(limit_bytes=most_bytes)


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


def _leaves(columns: pq.ParquetSchema, chosen: frozenset[str]) -> list[int]:
    """Return the numbers of the leaf columns that belong to the chosen columns, as Arrow picks them by their path."""
    found = []
    for leaf in range(len(columns)):
        path = columns.column(leaf).path
        prefixes = {path, *(path[:place] for place, character in enumerate(path) if character == ".")}
        if prefixes & chosen:
            found.append(leaf)
    return found
