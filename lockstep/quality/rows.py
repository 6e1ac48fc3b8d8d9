"""Rows that can be measured as often as need be: staged files, or the input of a run wherever its files are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import ColumnMissing, LockstepError
from lockstep.quality.columns import columns_of, projection, source_of, with_figures
from lockstep.run.plan import Piece, ScoringInput, Unit
from lockstep.scoring import storage
from lockstep.scoring.pieces import check_unchanged, schema_from_text
from lockstep.scoring.staged import GROUP_ROWS
from lockstep.scoring.units import read_unit
from lockstep.specs.limits import Limits
from lockstep.storage.files import Location, local_copy

Reader = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
BATCH_ROWS = 65_536
GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Rows:
    """Rows of one schema.

    Attributes:
        schema: What they hold, figures of tensors apart.
        where: What they are, for messages.
        batches: Reads the named columns anew, as batches of one schema; columns that are not there are left out.
        files: Parquet files which together are these rows and nothing else; none: only `batches` gives them.
        problems: What went wrong in `batches`; the engine that reads them hands on no error of ours.
        parts: Readers like `batches` which together give these rows, each of them in any process.
        shared: Whether workers on other machines find `files` where they are here.
    """

    schema: pa.Schema
    where: str
    batches: Reader
    files: tuple[Path, ...] | None = None
    problems: list[LockstepError] = field(default_factory=list, compare=False)
    parts: tuple[Reader, ...] = ()
    shared: bool = True

    def relation(self, engine: duckdb.DuckDBPyConnection, *, names: Sequence[str], known: Sequence[str]) -> str:
        """Return SQL of a table of these rows for one query.

        Args:
            engine: Where the query will run.
            names: The columns and figures it needs.
            known: All that checks name, which fixes what each is called.
        """
        all_columns = columns_of(known, self.schema, where=self.where)
        columns = {name: all_columns[name] for name in names}
        if self.files and all(name in self.schema.names for name in names) and not _confused(self.schema):
            listed = ", ".join(_text(_pattern(str(file))) for file in self.files)
            return f"(SELECT {projection(columns, self.schema)} FROM read_parquet([{listed}]))"  # noqa: S608 - quoted
        schema = pa.schema([self._field(name) for name in names]) if names else pa.schema([("c", pa.null())])
        batches = self._read(names, schema)
        if names:  # the engine knows no upper case
            schema = pa.schema([field.with_name(columns[field.name].sql) for field in schema])
            batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches)
            columns = {column.sql: column for column in columns.values()}
        engine.register("batches", pa.RecordBatchReader.from_batches(schema, batches))
        return f"(SELECT {projection(columns, schema)} FROM batches)"  # noqa: S608 - quoted

    def readers(self, names: Sequence[str]) -> list[Iterable[pa.RecordBatch]]:
        """Return the rows in parts that can be read side by side, each in batches of the named columns and figures."""
        schema = pa.schema([self._field(name) for name in names])
        if self.files and all(name in self.schema.names for name in names):
            return [_of_file(file, schema) for file in self.files]
        return [self._read(names, schema)]

    def part_readers(self, names: Sequence[str]) -> list[Callable[[], Iterator[pa.RecordBatch]]]:
        """Return readers of the parts, each of which gives batches of the named columns and figures in any process.

        Args:
            names: At least one.
        """
        schema, sources = pa.schema([self._field(name) for name in names]), self._sources(names)
        return [partial(_read_part, part, sources, schema) for part in self.parts]

    def stored(self, name: str) -> pa.DataType:
        """Return the type of a column or figure."""
        return self._field(name).type

    def _read(self, names: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.batches(self._sources(names)):
                yield _cast(batch, names, schema)
        except LockstepError as error:
            self.problems.append(error)
            raise

    def _field(self, name: str) -> pa.Field:
        if name not in self.schema.names:
            return pa.field(name, pa.float64())
        field = self.schema.field(name)
        # The embedded engine takes no floats of 16 bits from Arrow; those of 32 hold them all.
        return field.with_type(pa.float32()) if pa.types.is_float16(field.type) else field

    def _sources(self, names: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(source for name in names if (source := source_of(name, self.schema))))


def _read_part(part: Reader, sources: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in part(sources):
        yield _cast(batch, schema.names, schema)


def _of_file(file: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(batch_size=GROUP_ROWS, columns=schema.names, use_threads=False):
            yield _cast(batch, schema.names, schema)


def staged_rows(files: Sequence[Location], *, where: str) -> Rows:
    """Return the rows of Parquet files of one schema; no file gives no rows and no columns."""
    local = tuple(local_copy(file) for file in files)
    schema = pq.read_schema(local[0]) if local else pa.schema([])
    parts = tuple(partial(_read_file, file) for file in files)
    shared = all(isinstance(file, Path) for file in files)
    return Rows(schema, where, partial(_in_turn, parts), local, parts=parts, shared=shared)


def _read_file(file: Location, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(local_copy(file)) as opened:
        yield from opened.iter_batches(batch_size=BATCH_ROWS, columns=list(columns))


def _in_turn(parts: Sequence[Reader], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        yield from part(columns)


def input_rows(
    root: Location, scoring_input: ScoringInput, *, columns: Sequence[str], limits: Limits, where: str
) -> Rows:
    """Return the input of a run.

    Args:
        root: The run folder.
        scoring_input: The run's input.
        columns: The columns and figures that will be asked for.
        limits: Bounds of what is read at a time.
        where: What the input is, for messages.

    Raises:
        ColumnMissing: A column is not in the input.
        FileUnreadable, SourceFileChanged: The files are no longer what they were.
    """
    parts = tuple(
        partial(_read_unit, root, unit, batch_rows=limits.batch_rows, batch_bytes=limits.batch_bytes)
        for unit in scoring_input.units
    )
    stored = dict.fromkeys([*columns, *(name.rpartition(".")[0] for name in columns if "." in name)])
    schema = _input_schema(root, scoring_input, [name for name in stored if name in scoring_input.columns])
    known = list(scoring_input.columns)
    for name in columns:
        if source_of(name, schema) is None:
            raise ColumnMissing(name, where=where, expected="it for a check of the spec's suite", got=known)
    files = _whole_files(root, scoring_input, schema)
    return Rows(schema, where, partial(_in_turn, parts), files, parts=parts)


def _read_unit(
    root: Location, unit: Unit, names: Sequence[str], *, batch_rows: int, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    return read_unit(root, unit, columns=names, batch_rows=batch_rows, batch_bytes=batch_bytes)


def _input_schema(root: Location, scoring_input: ScoringInput, names: Sequence[str]) -> pa.Schema:
    """Return the types of columns: those that the plan fixed, else those of the first batch."""
    if not scoring_input.units:
        return pa.schema([(name, pa.null()) for name in names])
    first = scoring_input.units[0]
    fixed = schema_from_text(first.arrow_schema) if first.arrow_schema else pa.schema([])
    if all(name in fixed.names for name in names):
        return pa.schema([fixed.field(name) for name in names])
    batch = next(iter(read_unit(root, first, columns=names, batch_rows=1)), None)
    return batch.schema if batch is not None else pa.schema([(name, pa.null()) for name in names])


def _whole_files(root: Location, scoring_input: ScoringInput, schema: pa.Schema) -> tuple[Path, ...] | None:
    """Return the input's local files if they hold its rows and nothing else, in the planned types; else none."""
    pieces = [piece for unit in scoring_input.units for piece in unit.pieces]
    rows: dict[str, int] = {}
    for piece in pieces:
        rows[piece.path] = rows.get(piece.path, 0) + piece.rows
        if not _plain(piece, root):
            return None
        check_unchanged(piece, root=root)
    paths = {path: Path(storage.place(path, root=root).path) for path in rows}
    for path, file in paths.items():
        footer = pq.read_metadata(file)
        stored = footer.schema.to_arrow_schema()
        if (
            _confused(stored)
            or footer.num_rows != rows[path]
            or not all(field.name in stored.names and stored.field(field.name).type == field.type for field in schema)
        ):
            return None
    return tuple(paths.values())


def _confused(schema: pa.Schema) -> bool:
    """Whether columns have names that the embedded engine takes for the same."""
    return len({name.lower() for name in schema.names}) < len(schema.names)


def _plain(piece: Piece, root: Location) -> bool:
    altered = piece.constants or piece.renamed or piece.where is not None
    return not altered and storage.place(piece.path, root=root).is_local


def _cast(batch: pa.RecordBatch, names: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    if not names:
        return pa.RecordBatch.from_arrays([pa.nulls(batch.num_rows)], schema=schema)
    made = with_figures(batch, names)
    arrays = [_typed(array, field.type) for array, field in zip(made.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _typed(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type == kind else array.cast(kind)


def _pattern(path: str) -> str:
    """Write a path so that the engine, which takes patterns, takes it literally."""
    return "".join(f"[{letter}]" if letter in GLOB else letter for letter in path)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
