"""Work units: the pieces of Parquet files that tasks score one by one.

A unit depends on the files alone, never on the size of the cluster; that makes resume and byte-identical results
possible.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.run.plan import DayFilter, Piece, Unit
from lockstep.scoring.day_rows import Span, spans
from lockstep.scoring.pieces import (
    check_unchanged,
    column_places,
    opened,
    piece_batches,
    read_footer,
    schema_from_text,
    schema_text,
    target_schema,
)
from lockstep.storage.files import Location

# Opening a file costs as much as reading this many bytes (less where units are small).
OPEN_BYTES = 256 << 10
OPEN_SHARE = 64
# A row group is cut into parts of at least as many rows: what lies before a part is decoded too.
SPLIT_ROWS = 8_192
UNIT_ROWS = 2 << 20
# Small inputs still make some units, for as many workers, unless they become tiny. For that a row group is cut only
# where decoding what lies before costs next to nothing.
FEWEST_UNITS, SMALLEST_UNIT_ROWS = 16, 256
SMALL_GROUP_BYTES = 8 << 20


@dataclass(frozen=True)
class DataFile:
    """A file whose rows are to be scored.

    Attributes:
        path, constants, renamed, where: As in `Piece`.
        size_bytes, mtime_ns: What the file must still be when it is read; none is not checked.
        footer: Where it is known already.
    """

    path: str
    constants: Mapping[str, str | None] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    where: DayFilter | None = None
    size_bytes: int | None = None
    mtime_ns: int | None = None
    footer: pq.FileMetaData | None = None


@dataclass(frozen=True)
class _Atom:
    """What a unit is made of: a row group, or a part of one.

    Attributes:
        size: Uncompressed bytes.
        weight: Share of a full unit, by bytes or by rows, whichever is more, and the cost of opening the file.
        ends: Whether it reaches the end of its row group.
    """

    file: DataFile
    span: Span
    size: float
    weight: float
    ends: bool = True


@dataclass(frozen=True)
class _Limits:
    """What a unit may hold; see `plan_units`."""

    unit_bytes: int
    unit_rows: int
    split_rows: int

    def atoms(self, root: Location | None, file: DataFile, *, names: Sequence[str] | None) -> Iterator[_Atom]:
        """Return the row groups of a file that have rows that count."""
        footer = file.footer if file.footer is not None else read_footer(file.path, root=root)
        leaves = _leaves(footer, file, names)
        opening = min(OPEN_BYTES / self.unit_bytes, 1 / OPEN_SHARE)
        for span in spans(file.path, footer, root=root, day=file.where):
            group = footer.row_group(span.group)
            size = sum(group.column(index).total_uncompressed_size for index in leaves) * span.rows / group.num_rows
            ends = span.start + span.rows == group.num_rows
            yield _Atom(file, span, size, self._weight(size, span) + opening, ends)
            opening = 0.0

    def cut(self, atom: _Atom, *, weight: float) -> Iterator[_Atom]:
        """Cut a row group that is too large for a unit, or a small one that weighs more than `weight`."""
        span, opening = atom.span, atom.weight - self._weight(atom.size, atom.span)
        count = max(
            min(math.ceil(atom.size / self.unit_bytes), span.rows // max(self.split_rows, 1)),
            math.ceil(span.matching / self.unit_rows),
        )
        if weight < 1 and atom.size <= SMALL_GROUP_BYTES:
            count = max(count, min(math.ceil(atom.weight / weight), span.rows // SMALLEST_UNIT_ROWS))
        parts = [part for part in span.parts(max(count, 1)) if part.matching]
        for part in parts:
            size = atom.size * part.rows / span.rows
            yield _Atom(atom.file, part, size, self._weight(size, part) + opening, atom.ends and part is parts[-1])
            opening = 0.0

    def _weight(self, size: float, span: Span) -> float:
        return max(size / self.unit_bytes, span.matching / self.unit_rows)


def plan_units(
    root: Location | None,
    files: Sequence[str | DataFile],
    *,
    unit_bytes: int,
    unit_rows: int = UNIT_ROWS,
    schema: pa.Schema | None = None,
    split_rows: int = SPLIT_ROWS,
) -> tuple[Unit, ...]:
    """Cut files into units of even size.

    Row groups are packed into units of at most `unit_bytes` and `unit_rows`, also across files; a larger row group is
    cut by rows. Small inputs are cut further, into `FEWEST_UNITS` units, unless these get less than
    `SMALLEST_UNIT_ROWS` rows.

    Args:
        root: Folder that relative file names start from.
        files: Parquet files; their order fixes the unit ids.
        unit_bytes: Most bytes of a unit, unless a single row group of few rows is larger.
        unit_rows: Most rows of a unit.
        schema: The wanted columns; only their bytes count, and every unit has their types. None: all columns.
        split_rows: Fewest rows of a part of a row group that is cut for its bytes.

    Returns:
        Units that hold every row that counts exactly once; files without rows give none.

    Raises:
        FileUnreadable: A file is not there, or not a Parquet file.
    """
    names = None if schema is None else schema.names
    limits = _Limits(unit_bytes, unit_rows, split_rows)
    known_files = [f if isinstance(f, DataFile) else DataFile(f) for f in files]
    groups = [group for file in known_files for group in limits.atoms(root, file, names=names)]
    rows, weight = sum(group.span.matching for group in groups), sum(group.weight for group in groups)
    limit = min(1.0, weight * max(1 / FEWEST_UNITS, SMALLEST_UNIT_ROWS / max(rows, 1)))
    atoms = [atom for group in groups for atom in limits.cut(group, weight=limit)]
    text = "" if schema is None else schema_text(schema)
    return tuple(_unit(number, run, text) for number, run in enumerate(_runs(atoms, limit)))


def _leaves(footer: pq.FileMetaData, file: DataFile, names: Sequence[str] | None) -> Sequence[int]:
    if names is None:
        return range(footer.num_columns)
    physical = [file.renamed.get(name, name) for name in names if name not in file.constants]
    return sorted({index for places in column_places(footer, physical).values() for index in places})


def _runs(atoms: Sequence[_Atom], limit: float) -> list[list[_Atom]]:
    """Group neighbouring atoms into as few even groups within the limit as there can be.

    Where the limit cuts so many groups short that one more is needed, that one would be tiny: all are made smaller.
    """
    count = _fewest(atoms, limit)
    while len(runs := [*_even_runs(atoms, limit, count=count)]) > count:
        count += 1
    return runs


def _even_runs(atoms: Sequence[_Atom], limit: float, *, count: int) -> Iterator[list[_Atom]]:
    """Group neighbouring atoms; each group aims at its share of what is left."""
    left = sum(atom.weight for atom in atoms)
    run: list[_Atom] = []
    size = 0.0
    for atom in atoms:
        over = size + atom.weight > limit
        enough = count > 1 and size + atom.weight / 2 > left / count
        if run and (over or enough):
            yield run
            left, count = left - size, max(count - 1, 1)
            run, size = [], 0.0
        run.append(atom)
        size += atom.weight
    if run:
        yield run


def _fewest(atoms: Sequence[_Atom], limit: float) -> int:
    count, size = 0, math.inf
    for atom in atoms:
        if size + atom.weight > limit:
            count, size = count + 1, 0.0
        size += atom.weight
    return count


def _unit(number: int, atoms: Sequence[_Atom], arrow_schema: str) -> Unit:
    pieces: list[list[_Atom]] = []
    for atom in atoms:
        if pieces and _continues(pieces[-1][-1], atom):
            pieces[-1].append(atom)
        else:
            pieces.append([atom])
    return Unit(
        id=f"u{number:05d}",
        pieces=tuple(_piece(piece) for piece in pieces),
        rows=sum(atom.span.matching for atom in atoms),
        size_bytes=round(sum(atom.size for atom in atoms)),
        arrow_schema=arrow_schema,
    )


def _continues(before: _Atom, atom: _Atom) -> bool:
    if before.file is not atom.file or before.span.mixed != atom.span.mixed:
        return False
    if before.span.group == atom.span.group:
        return before.span.start + before.span.rows == atom.span.start
    return before.ends and before.span.group + 1 == atom.span.group and atom.span.start == 0


def _piece(atoms: Sequence[_Atom]) -> Piece:
    first, file = atoms[0], atoms[0].file
    return Piece(
        path=file.path,
        row_group_start=first.span.group,
        row_group_stop=atoms[-1].span.group + 1,
        rows=sum(atom.span.rows for atom in atoms),
        row_start=first.span.start,
        constants=dict(file.constants),
        renamed=dict(file.renamed),
        where=file.where if first.span.mixed else None,
        file_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
    )


def read_unit(
    root: Location | None, unit: Unit, *, columns: Sequence[str], batch_rows: int, batch_bytes: int = 64 << 20
) -> Iterator[pa.RecordBatch]:
    """Read the named columns of a unit.

    Args:
        root: Folder that relative file names start from.
        unit: As planned.
        columns: Wanted columns; one that neither a file nor the plan knows is left out.
        batch_rows: Most rows of a batch.
        batch_bytes: Most decoded bytes of a batch, unless a single row has more.

    Yields:
        Batches of one schema, in the order of the rows.

    Raises:
        FileUnreadable: A file is gone or damaged.
        SourceFileChanged: A file is not the one that was planned.
        ColumnTypeMismatch: A value does not fit the type that the plan fixed.
    """
    known = schema_from_text(unit.arrow_schema) if unit.arrow_schema else None
    target: pa.Schema | None = None
    for piece in unit.pieces:
        check_unchanged(piece, root=root)
        with opened(piece.path, root=root) as file:
            if target is None:
                target = target_schema(piece, file, columns=columns, known=known)
            yield from piece_batches(piece, file, target=target, batch_rows=batch_rows, batch_bytes=batch_bytes)
