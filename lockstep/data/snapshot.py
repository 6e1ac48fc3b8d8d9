"""The input snapshot: which files a run reads, and that they hold what the spec declares. Reads footers, no rows."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa

from lockstep.data.table_scan import TABLE_VIEW, Day, TableScan, scan_table
from lockstep.errors import (
    ColumnMissing,
    ColumnTypeMismatch,
    DateInvalid,
    EmptyPartition,
    InputChanged,
    PartitionNotFound,
)
from lockstep.run.partition import window
from lockstep.run.plan import Plan, SourceFile
from lockstep.scoring.pieces import read_footer
from lockstep.specs.input_spec import Source, Table
from lockstep.specs.spec import Schedule, ScoringSpec
from lockstep.storage.files import Location, location

OUTCOMES_VIEW = "outcomes"
# Footers are small and a store answers late.
FILES_AT_ONCE = 16

# Spec type -> does an Arrow type fit it?
TYPE_TESTS = {
    "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "int": pa.types.is_integer,
    "long": pa.types.is_integer,
    "double": pa.types.is_floating,
    "boolean": pa.types.is_boolean,
    "date": pa.types.is_date,
    "timestamp": pa.types.is_timestamp,
}


def take_snapshot(spec: ScoringSpec, partition: dt.date, data_root: Location) -> tuple[SourceFile, ...]:
    """List and check the source files that a run of `partition` reads.

    Args:
        spec: Declares the sources, their windows, columns and types, or the table.
        partition: Day to score.
        data_root: Folder that source paths are relative to.

    Returns:
        The files of all sources, those of the scored day first, by view and path; or those of the table that hold
        the day; of a table in a database one entry, whose version is a hash of the day's rows.

    Raises:
        TableNotFound, TableUnsupported: The table is not there, or cannot be scored directly.
        DatabaseUnreachable: The database of the table does not answer.
        DateInvalid: The day is before the spec's start or after its end.
        PartitionNotFound: The day itself, or all of a window, is not in the data.
        EmptyPartition: The day holds fewer than `limits.min_rows` rows.
        ColumnMissing: A file lacks a declared column.
        ColumnTypeMismatch: A column has another type than declared.
    """
    _check_day(spec.schedule, partition)
    if spec.input.table is not None:
        return _of_table(spec.input.table, Day(spec.partition.column, partition), data_root)
    found: list[SourceFile] = []
    current_first = sorted(spec.input.sources.items(), key=lambda item: (not item[1].is_current, item[0]))
    for view, source in current_first:
        files = _source_files(view, source, partition=partition, data_root=data_root)
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            rows = sum(pool.map(partial(_check_file, source=source, data_root=data_root), files))
            described = list(pool.map(partial(_describe, view), files))
        if source.is_current and rows < spec.limits.min_rows:
            raise EmptyPartition(view, path=str(data_root / source.path), partition=partition.isoformat())
        found.extend(described)
    return tuple(found)


def _of_table(table: Table, day: Day, data_root: Location) -> tuple[SourceFile, ...]:
    if table.format == "postgresql":
        from lockstep.data.database_table import open_table

        with open_table(table) as source:
            return (source.fingerprint(day),)
    return table_files(scan_table(table, day, data_root))


def outcome_files(source: Source, partition: dt.date, data_root: Location) -> tuple[SourceFile, ...]:
    """List and check the files that hold the outcomes of a day, perhaps none yet.

    Raises:
        ColumnMissing: A file lacks a declared column.
        ColumnTypeMismatch: A column has another type than declared.
    """
    files = _files_there(source, partition=partition, data_root=data_root)
    for file in files:
        _check_file(file, source=source, data_root=data_root)
    return tuple(_describe(OUTCOMES_VIEW, file) for file in files)


def check_unchanged(plan: Plan) -> None:
    """Raise `InputChanged` if the plan's files are no longer what they were."""
    check_same(plan, take_snapshot(plan.spec, plan.partition, location(plan.data_root)))


def check_same(plan: Plan, now: tuple[SourceFile, ...]) -> None:
    """Raise `InputChanged` if a snapshot is not the plan's."""
    if now != plan.sources:
        raise InputChanged(str(plan.partition), changed=len({*plan.sources} ^ {*now}))


def table_files(scan: TableScan) -> tuple[SourceFile, ...]:
    """Return the snapshot of a table."""
    return tuple(
        SourceFile(
            view=TABLE_VIEW,
            path=scanned.file.path,
            size_bytes=scanned.file.size_bytes or 0,
            mtime_ns=scanned.file.mtime_ns or 0,
            version=scanned.version,
        )
        for scanned in scan.files
    )


def _check_day(schedule: Schedule, partition: dt.date) -> None:
    advice = "choose a day that the schedule covers, or change the spec"
    if partition < schedule.start:
        problem = f"is before the spec's schedule.start {schedule.start}"
        raise DateInvalid(partition.isoformat(), problem=problem, advice=advice)
    if schedule.end is not None and partition > schedule.end:
        problem = f"is after the spec's schedule.end {schedule.end}"
        raise DateInvalid(partition.isoformat(), problem=problem, advice=advice)


def partitions(table: Location, column: str) -> list[dt.date]:
    """Return the days that a hive-partitioned table has, in order."""
    days = []
    for folder in table.glob(f"{column}=*"):
        try:
            days.append(dt.date.fromisoformat(folder.name.partition("=")[2]))
        except ValueError:
            continue  # the hive default partition, or a folder of somebody else
    return sorted(days)


def _source_files(view: str, source: Source, *, partition: dt.date, data_root: Location) -> list[Location]:
    files = _files_there(source, partition=partition, data_root=data_root)
    if not files:
        wanted = "(the whole table)"
        if source.partition is not None and source.days is not None:
            first, last = window(partition, source.days)
            wanted = f"{source.partition}={first}" + (f" to {last}" if last != first else "")
        table = data_root / source.path
        raise PartitionNotFound(view, path=str(table), partition=wanted, available=_available(table, source))
    return files


def _files_there(source: Source, *, partition: dt.date, data_root: Location) -> list[Location]:
    table = data_root / source.path
    if source.partition is None or source.days is None:
        return sorted(_parquet(table))
    first, last = window(partition, source.days)
    days = [day for day in partitions(table, source.partition) if first <= day <= last]
    return [file for day in days for file in sorted(_parquet(table / f"{source.partition}={day}"))]


def _parquet(folder: Location) -> Iterator[Location]:
    return (p for p in folder.glob("*.parquet") if not p.name.startswith(("_", ".")))


def _available(table: Location, source: Source) -> str:
    days = partitions(table, source.partition) if source.partition else []
    return f"{days[0]} to {days[-1]} ({len(days)} days)" if days else "nothing"


def _check_file(file: Location, *, source: Source, data_root: Location) -> int:
    """Check the columns of one file; return its rows."""
    metadata = read_footer(str(file))
    schema = metadata.schema.to_arrow_schema()
    where = str(file).removeprefix(f"{data_root}/")
    for name, kind in source.columns.items():
        index = schema.get_field_index(name)
        if index < 0:
            raise ColumnMissing(name, where=where, expected=f"a column of type {kind}", got=schema.names)
        if not TYPE_TESTS[kind](schema.field(index).type):
            raise ColumnTypeMismatch(name, where=where, expected=kind, got=str(schema.field(index).type))
    return int(metadata.num_rows)


def _describe(view: str, file: Location) -> SourceFile:
    facts = file.stat()
    return SourceFile(view=view, path=str(file), size_bytes=facts.st_size, mtime_ns=facts.st_mtime_ns)
