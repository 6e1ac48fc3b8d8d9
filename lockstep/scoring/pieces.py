"""Read a piece of a Parquet file in batches of bounded rows and bytes, as columns of given types.

Batches come from `iter_batches` without read-ahead: as fast as reading whole row groups and slicing them (within 10 %),
and memory does not grow with the size of a row group.
"""

import base64
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.errors import ColumnTypeMismatch, FileUnreadable, SourceFileChanged
from lockstep.run.plan import DayFilter, Piece
from lockstep.scoring import storage
from lockstep.storage.files import Location

# Bytes read at once from each column of a local file. Whole column chunks would be faster by a few percent, and would
# keep a row group in memory.
BUFFER_BYTES = 1 << 20
# Row groups whose sizes are looked at to guess the bytes of a row.
GUESS_GROUPS = 4
OFFSET_BYTES = 4


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into `FileUnreadable`."""
    try:
        yield
    except MemoryError:  # Arrow's is an ArrowException too, and says nothing about the file
        raise
    except FileNotFoundError as error:
        raise FileUnreadable(path, reason="there is no such file") from error
    except (OSError, pa.ArrowException) as error:
        raise FileUnreadable(path, reason=storage.reason(error)) from error


@contextlib.contextmanager
def opened(path: str, *, root: Location | None) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file for the time of the body.

    Raises:
        FileUnreadable: It is not there, or not a Parquet file.
    """
    where = storage.place(path, root=root)
    with contextlib.ExitStack() as stack:
        with reading(path):
            source = stack.enter_context(where.filesystem.open_input_file(where.path))
            # A store answers each request late, so its column chunks are fetched together.
            options = {"buffer_size": BUFFER_BYTES, "pre_buffer": False} if where.is_local else {"pre_buffer": True}
            file = stack.enter_context(pq.ParquetFile(source, **options))
        yield file


def read_footer(path: str, *, root: Location | None = None) -> pq.FileMetaData:
    """Read the footer of a Parquet file, or raise `FileUnreadable`."""
    with opened(path, root=root) as file:
        return file.metadata


def schema_text(schema: pa.Schema) -> str:
    """Return a schema as text for JSON: Arrow's own format, so that every type comes back as it was."""
    return base64.b64encode(schema.remove_metadata().serialize().to_pybytes()).decode("ascii")


def schema_from_text(text: str) -> pa.Schema:
    """Return the schema that `schema_text` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def check_unchanged(piece: Piece, *, root: Location | None) -> None:
    """Raise `SourceFileChanged` if the piece's file is no longer the one that was planned."""
    if piece.file_bytes is None:
        return
    with reading(piece.path):
        size, mtime_ns = storage.identity_now(storage.place(piece.path, root=root))
    wanted = (piece.file_bytes, piece.mtime_ns or mtime_ns)
    if (size, mtime_ns) != wanted:
        told = [f"{n_bytes:,} bytes of time {ns}" for n_bytes, ns in (wanted, (size, mtime_ns))]
        raise SourceFileChanged(piece.path, expected=told[0], got=told[1])


def target_schema(piece: Piece, file: pq.ParquetFile, *, columns: Sequence[str], known: pa.Schema | None) -> pa.Schema:
    """Return the schema that batches shall have.

    Args:
        piece: The first piece of the unit.
        file: Its file.
        columns: Wanted columns; one that is nowhere is left out.
        known: Types that the plan fixed; other columns have the type that they have in the file.
    """
    fields = []
    stored = file.schema_arrow
    for name in dict.fromkeys(columns):
        index = stored.get_field_index(piece.renamed.get(name, name))
        if known is not None and known.get_field_index(name) >= 0:
            fields.append(known.field(name))
        elif name in piece.constants:
            fields.append(pa.field(name, pa.string()))
        elif index >= 0:
            fields.append(pa.field(name, stored.field(index).type))
    return pa.schema(fields)


def piece_batches(
    piece: Piece, file: pq.ParquetFile, *, target: pa.Schema, batch_rows: int, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Read the rows of a piece.

    Raises:
        ColumnTypeMismatch: A value does not fit the target's type.
        FileUnreadable: The file is damaged.
    """
    stored = {field.name for field in file.schema_arrow}
    physical = {name: piece.renamed.get(name, name) for name in target.names if name not in piece.constants}
    wanted = [*dict.fromkeys(name for name in physical.values() if name in stored)]
    if piece.where is not None and piece.where.column not in wanted:
        wanted.append(piece.where.column)
    rows = max(1, min(batch_rows, int(batch_bytes / max(row_bytes(file, piece, columns=wanted), 1))))
    values = {name: _constant(piece, target.field(name)) for name in target.names if name in piece.constants}
    if not wanted:
        raw = _bare(piece.rows, rows)
    else:
        groups = list(range(piece.row_group_start, piece.row_group_stop))
        raw = cut(
            file.iter_batches(batch_size=rows, row_groups=groups, columns=wanted, use_threads=False),
            start=piece.row_start,
            rows=piece.rows,
        )
    for batch in _guarded(raw, piece.path):
        some = batch if piece.where is None else _only(batch, piece.where)
        if some.num_rows:
            yield from _small(_fit(some, piece, target=target, physical=physical, values=values), batch_bytes)


def _guarded(batches: Iterator[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    while True:
        with reading(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def cut(batches: Iterator[pa.RecordBatch], *, start: int, rows: int) -> Iterator[pa.RecordBatch]:
    """Pass on `rows` rows from `start` on, without copying; what comes after is not read."""
    left = rows
    for batch in batches:
        if start >= batch.num_rows:
            start -= batch.num_rows
            continue
        part = batch.slice(start, left)
        start, left = 0, left - part.num_rows
        yield part
        if left <= 0:
            return


def _bare(rows: int, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of one null column: a piece of which only constants are wanted."""
    for start in range(0, rows, batch_rows):
        yield pa.record_batch({"": pa.nulls(min(batch_rows, rows - start))})


def day_mask(values: pa.Array, day: DayFilter) -> pa.Array:
    """Return which values are the day, dates or ISO texts; null is not.

    Raises:
        pa.ArrowNotImplementedError: The values are neither.
    """
    wanted = pa.scalar(day.day) if pa.types.is_date(values.type) else pa.scalar(day.day.isoformat())
    return pc.fill_null(pc.equal(values, wanted.cast(values.type)), False)


def _only(batch: pa.RecordBatch, day: DayFilter) -> pa.RecordBatch:
    return batch.filter(day_mask(batch.column(day.column), day))


def _constant(piece: Piece, field: pa.Field) -> pa.Scalar:
    text = piece.constants[field.name]
    try:
        return pa.scalar(text, pa.string()).cast(field.type)
    except pa.ArrowException as error:
        where = f"the partition {field.name}={text} of {piece.path}"
        raise ColumnTypeMismatch(field.name, where=where, expected=str(field.type), got="another text") from error


def _fit(
    batch: pa.RecordBatch,
    piece: Piece,
    *,
    target: pa.Schema,
    physical: Mapping[str, str],
    values: Mapping[str, pa.Scalar],
) -> pa.RecordBatch:
    arrays = []
    for field in target:
        index = batch.schema.get_field_index(physical.get(field.name, ""))
        if field.name in values:
            array = pa.repeat(values[field.name], batch.num_rows)
        elif index < 0:
            array = pa.nulls(batch.num_rows, field.type)
        else:
            array = _cast(batch.column(index), field, path=piece.path)
        arrays.append(array)
    if not arrays:
        return batch.select([])
    return pa.RecordBatch.from_arrays(arrays, schema=target)


def _cast(array: pa.Array, field: pa.Field, *, path: str) -> pa.Array:
    if array.type == field.type:
        return array
    try:
        return array.cast(field.type)
    except pa.ArrowException as error:
        got = f"{array.type} with a value that does not fit"
        raise ColumnTypeMismatch(field.name, where=path, expected=str(field.type), got=got) from error


def _small(batch: pa.RecordBatch, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Halve a batch until each part is small enough: rows of texts are not all as long as the footer made believe."""
    if batch.num_rows <= 1 or batch.nbytes <= batch_bytes:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _small(batch.slice(0, half), batch_bytes)
    yield from _small(batch.slice(half), batch_bytes)


def row_bytes(file: pq.ParquetFile, piece: Piece, *, columns: Sequence[str]) -> float:
    """Guess the bytes of a decoded row: exact for numbers, from sizes and statistics of the footer for the rest."""
    total, guessed = 0.0, []
    schema = file.schema_arrow  # is made anew each time
    for name in columns:
        try:
            total += schema.field(name).type.bit_width / 8
        except ValueError:  # no fixed width
            guessed.append(name)
    if guessed:
        places = column_places(file.metadata, guessed)
        groups = range(piece.row_group_start, piece.row_group_stop)
        sample = [file.metadata.row_group(index) for index in itertools.islice(groups, GUESS_GROUPS)]
        rows = max(sum(group.num_rows for group in sample), 1)
        for indexes in places.values():
            chunks = [group.column(index) for group in sample for index in indexes]
            mean = sum(chunk.total_uncompressed_size for chunk in chunks) / rows
            total += OFFSET_BYTES + max([mean, *(_longest(chunk) for chunk in chunks)])
    return total


def _longest(chunk: pq.ColumnChunkMetaData) -> float:
    """Return the length of a text that the statistics know: dictionary encoding hides how long rows are."""
    if chunk.physical_type != "BYTE_ARRAY" or chunk.statistics is None or not chunk.statistics.has_min_max:
        return 0.0
    # Raw, because text that is no UTF-8 is a matter of the rows, not of the footer.
    known = [value for value in (chunk.statistics.min_raw, chunk.statistics.max_raw) if isinstance(value, bytes)]
    return float(max((len(value) for value in known), default=0))


def column_places(footer: pq.FileMetaData, names: Sequence[str]) -> dict[str, list[int]]:
    """Return the leaf columns of each named column: itself, or its parts if it is nested."""
    leaves = [footer.schema.column(index).path for index in range(footer.num_columns)]
    exact = {path: index for index, path in enumerate(leaves)}
    return {
        name: [exact[name]]
        if name in exact
        else [index for index, path in enumerate(leaves) if path.startswith(f"{name}.")]
        for name in names
    }
