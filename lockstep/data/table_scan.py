"""A table that is scored directly: which of its files hold the rows of a day, and how to read them.

Nothing here reads rows; of plain Parquet tables one footer is read, of Iceberg and Delta tables only their metadata.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import FileUnreadable, InputError, PartitionNotFound, TableNotFound, TableUnsupported
from lockstep.run.plan import DayFilter
from lockstep.scoring import storage
from lockstep.scoring.pieces import read_footer
from lockstep.scoring.units import DataFile
from lockstep.specs.input_spec import Table
from lockstep.storage.files import Location

# What the files of a table are called in a snapshot, where those of a query go by their view.
TABLE_VIEW = "table"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
SUFFIXES = (".parquet", ".parq", ".pq")

# From the footer of a file to (constants, renamed) of its columns.
Mapping = Callable[[pq.FileMetaData], tuple[dict[str, str | None], dict[str, str]]]


def _as_it_is(_: pq.FileMetaData) -> tuple[dict[str, str | None], dict[str, str]]:
    return {}, {}


@dataclass(frozen=True)
class Day:
    """The day to score: a column of the table, and its value."""

    column: str
    value: dt.date

    def filter(self) -> DayFilter:
        """Return the day as a filter of rows."""
        return DayFilter(column=self.column, day=self.value)


@dataclass(frozen=True)
class ScannedFile:
    """A file of the table; `version` is what else tells it apart (see `SourceFile`)."""

    file: DataFile
    version: str = ""


@dataclass(frozen=True)
class TableScan:
    """The part of a table that holds a day.

    Attributes:
        label: What messages call the table.
        files: In a fixed order.
        schema: The table's own; none: whatever the files hold.
        columns_of: How a file's columns are to be read as the table's.
    """

    label: str
    files: tuple[ScannedFile, ...]
    schema: pa.Schema | None = None
    columns_of: Mapping = field(default=_as_it_is)


def scan_table(table: Table, day: Day, data_root: Location) -> TableScan:
    """Find the files of a day.

    Args:
        table: As the spec declares it.
        day: What to select.
        data_root: Folder of relative paths.

    Raises:
        TableNotFound: There is no such table.
        TableUnsupported: The table has something that is not read directly.
        PartitionNotFound: The table has no such day.
        ColumnMissing, ColumnTypeMismatch: The day cannot be selected.
    """
    if table.format == "iceberg":
        from lockstep.data.iceberg_scan import scan_iceberg

        return scan_iceberg(table, day, data_root)
    if table.format == "delta":
        from lockstep.data.delta_scan import scan_delta

        return scan_delta(table, day, data_root)
    return scan_parquet(table, day, data_root)


def absolute(path: str, data_root: Location) -> str:
    """Return a path of a spec as an absolute one, or the URL that it is."""
    path = storage.local_path(path)
    return path if storage.is_url(path) else str(data_root / path)


def check_whole(table: Table, day: Day, *, has_column: bool, label: str) -> None:
    """Refuse a table whose declaration and columns do not agree on whether it has days."""
    if has_column and table.whole:
        problem = f"it has the partition column {day.column!r}, and the spec says 'whole: true'"
        raise TableUnsupported(label, problem=problem, advice="Remove 'whole' from input.table to score one day")
    if not has_column and not table.whole:
        problem = f"it has no column {day.column!r}, the spec's partition column"
        advice = "Name a column of the table, or say 'whole: true' in input.table to score all of its rows as the day"
        raise TableUnsupported(label, problem=problem, advice=advice)


def not_found(label: str, day: Day, *, available: str) -> PartitionNotFound:
    """Return the error for a day that the table does not have."""
    return PartitionNotFound("table", path=label, partition=f"{day.column}={day.value}", available=available)


def days_text(values: set[str]) -> str:
    """Return the days that there are, for a message."""
    days = sorted(values)
    return f"{days[0]} to {days[-1]} ({len(days)} days)" if days else "nothing"


def scan_parquet(table: Table, day: Day, data_root: Location) -> TableScan:
    """Find the day in a Parquet file, a folder of them, or a hive-partitioned folder."""
    path = absolute(str(table.path), data_root)
    seen: set[str] = set()

    def enter(name: str) -> bool:
        column, _, value = name.partition("=")
        if column != day.column:
            return True
        seen.add(unquote(value))
        return unquote(value) == day.value.isoformat()

    try:
        listed = storage.list_files(path, enter=enter)
    except FileUnreadable as error:
        raise TableNotFound(path, kind="Parquet", reason=_cause(error)) from error
    facts = [f for f in listed if not f.relative or f.relative.endswith(SUFFIXES)]
    seen.discard(NULL_PARTITION)
    if seen:
        check_whole(table, day, has_column=True, label=path)
    if not facts and seen:
        raise not_found(path, day, available=days_text(seen))
    if not facts:
        raise TableNotFound(path, kind="Parquet", reason=f"no file in it ends in {', '.join(SUFFIXES)}")
    extra, where = ({}, None) if seen else _plain_column(table, day, facts[0].path)
    files = [
        ScannedFile(
            DataFile(
                path=f.path,
                constants={**extra, **_hive(f.relative)},
                where=where,
                size_bytes=f.size_bytes,
                mtime_ns=f.mtime_ns or None,
            ),
            version=f.version,
        )
        for f in facts
    ]
    return TableScan(path, tuple(files))


def _cause(error: InputError) -> str:
    return storage.reason(error.__cause__) if error.__cause__ is not None else "there is no such file or folder"


def _plain_column(table: Table, day: Day, first: str) -> tuple[dict[str, str | None], DayFilter | None]:
    names = read_footer(first).schema.to_arrow_schema().names
    check_whole(table, day, has_column=day.column in names, label=first)
    return ({day.column: day.value.isoformat()}, None) if table.whole else ({}, day.filter())


def _hive(relative: str) -> dict[str, str | None]:
    pairs = [part.partition("=") for part in relative.split("/")[:-1] if "=" in part]
    return {name: None if value == NULL_PARTITION else unquote(value) for name, _, value in pairs}
