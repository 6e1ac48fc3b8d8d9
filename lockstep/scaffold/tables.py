"""What a table is that somebody names: its kind, its columns, and the columns that may say the day of a row."""

import contextlib
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from lockstep.data.iceberg_scan import iceberg_table
from lockstep.data.table_scan import NULL_PARTITION, SUFFIXES, absolute
from lockstep.errors import TableNotFound
from lockstep.scoring import storage
from lockstep.scoring.pieces import read_footer
from lockstep.specs.fields import without_credentials
from lockstep.specs.input_spec import DATABASE_SCHEMES, Table
from lockstep.storage.files import Location
from lockstep.storage.stores import plain

CATALOG_TABLE = re.compile(r"([\w-]+):([\w-]+(?:\.[\w-]+)+)")
# Footers that are read for the days of a folder: the first and the last files by name.
FOOTERS = 50
# Of a database, in a message.
TABLES = 10
OTHER_DATABASES = ("mysql", "snowflake", "bigquery", "jdbc", "sqlite", "duckdb")
# An address of SQLAlchemy, which names a driver.
SQLALCHEMY = re.compile(r"^postgres(ql)?\+\w+://")
KINDS = "Parquet, Iceberg or Delta"
CONVERT = "copy it to Parquet first, such as: duckdb -c \"COPY (FROM '{name}') TO 'table.parquet'\""


@dataclass(frozen=True)
class DayColumn:
    """A column that may say the day of a row.

    Attributes:
        name: Of the column, or of a folder `name=2024-01-31`.
        first, last: Days that the table's metadata names; none where it names none.
    """

    name: str
    first: dt.date | None = None
    last: dt.date | None = None


@dataclass(frozen=True)
class FoundTable:
    """A table that can be scored directly.

    Attributes:
        table: As a spec declares it.
        columns: Name to type; a partition that is only in folder names is a text.
        days: Columns that may say the day, partitions first.
        times: Columns of times, which say more than the day and cannot select one.
    """

    table: Table
    columns: Mapping[str, pa.DataType]
    days: tuple[DayColumn, ...]
    times: tuple[str, ...]


def find_table(text: str, *, data_root: Location, here: Path) -> FoundTable:
    """Find the table that a text names.

    Args:
        text: A path (below the current folder or below the data root), a URL, `catalog:namespace.table`, or
            `postgresql://user@host/database#schema.table`.
        data_root: Folder of a spec's relative paths.
        here: Current folder.

    Raises:
        TableNotFound: There is none, or of a kind that is not read.
        DatabaseUnreachable: Its database does not answer.
    """
    named = CATALOG_TABLE.fullmatch(text)
    if named and not (here / text).exists():
        return inspect_table(Table(format="iceberg", catalog=named[1], name=named[2]), data_root=data_root)
    scheme = urlsplit(text).scheme
    address = SQLALCHEMY.sub("postgresql://", text)
    if address.startswith(DATABASE_SCHEMES):
        return inspect_table(_in_database(address), data_root=data_root)
    if scheme.partition("+")[0] in OTHER_DATABASES:
        reason = "tables of a database are not read directly"
        raise TableNotFound(f"a {scheme} address", kind=KINDS, reason=f"{reason}; {_export()}")
    path = _path(text, data_root=data_root, here=here)
    place = storage.place(path, root=data_root, attempts=storage.FIRST_LOOK_ATTEMPTS)
    with _first_look(path):
        [log, metadata] = place.filesystem.get_file_info([f"{place.path}/_delta_log", f"{place.path}/metadata"])
        newest = _newest_metadata(place, metadata.path) if metadata.type == pafs.FileType.Directory else None
    if newest:
        table = Table(format="iceberg", path=f"{path.rstrip('/')}/metadata/{newest}")
    elif path.endswith(".metadata.json"):
        table = Table(format="iceberg", path=path)
    else:
        table = Table(format="delta" if log.type == pafs.FileType.Directory else "parquet", path=path)
    return inspect_table(table, data_root=data_root)


def inspect_table(table: Table, *, data_root: Location) -> FoundTable:
    """Look at the metadata of a table that a spec declares; no row is read.

    Raises:
        TableNotFound: There is none.
        FileUnreadable: Its files cannot be read.
    """
    full = table.label if table.path is None or table.format == "postgresql" else absolute(table.path, data_root)
    kinds = {"parquet": _parquet, "iceberg": _iceberg, "delta": _delta, "postgresql": _postgresql}
    return kinds[table.format](table, full)


def _export() -> str:
    return (
        "export it as Parquet with a column of days each night (COPY, or Spark's JDBC reader), "
        "and give that folder here (docs/input.md)"
    )


def _in_database(text: str) -> Table:
    """Return the table that `postgresql://user@host/database#schema.table` names."""
    from lockstep.data.database_table import KIND, reading, table_names

    address, _, name = text.partition("#")
    try:
        without_credentials(address)
    except ValueError as error:
        reason = f"it {error}. libpq takes a password from PGPASSWORD, a password file or a service file"
        raise TableNotFound("the address of the database", kind=KIND, reason=reason) from None
    if not name:
        with reading(address, label=address) as cursor:
            there = table_names(cursor)
        has = f"the database has {', '.join(there[:TABLES])}" if there else "the database has no table"
        reason = f"name the table behind a '#', as in '{address}#{there[0] if there else 'schema.table'}'; {has}"
        raise TableNotFound(address, kind=KIND, reason=reason)
    return Table(format="postgresql", path=address, name=name)


def _path(text: str, *, data_root: Location, here: Path) -> str:
    """Return a path as a spec has it: relative to the data root where it lies below it, else absolute."""
    if storage.is_url(text):
        return text
    given = Path(text).expanduser()
    for candidate in (here / given, Path(str(data_root)) / given) if isinstance(data_root, Path) else (here / given,):
        if candidate.exists():
            full = candidate.resolve()
            below = isinstance(data_root, Path) and full.is_relative_to(data_root.resolve())
            return str(full.relative_to(data_root.resolve())) if below and isinstance(data_root, Path) else str(full)
    if not isinstance(data_root, Path):
        place = storage.place(text, root=data_root, attempts=storage.FIRST_LOOK_ATTEMPTS)
        with _first_look(text):
            [info] = place.filesystem.get_file_info([place.path])
        if info.type != pafs.FileType.NotFound:
            return text
    places = f"looked for {here / given} and, below the data root, {data_root / text}"
    raise TableNotFound(text, kind=KINDS, reason=f"there is no such file or folder ({places})")


@contextlib.contextmanager
def _first_look(text: str) -> Iterator[None]:
    """Turn what a store says when it is away, or lets nobody in, into the error of a table."""
    try:
        yield
    except OSError as error:
        raise TableNotFound(text, kind=KINDS, reason=plain(storage.reason(error))) from error


def _newest_metadata(place: storage.Place, folder: str) -> str | None:
    infos = place.filesystem.get_file_info(pafs.FileSelector(folder))
    found = [info for info in infos if info.base_name.endswith(".metadata.json")]
    return str(max(found, key=lambda info: info.mtime_ns or 0).base_name) if found else None


def _parquet(table: Table, full: str) -> FoundTable:
    files = storage.list_files(full)
    kept = [file for file in files if not file.relative or file.relative.endswith(SUFFIXES)]
    if not kept or not (kept[0].relative or kept[0].path).partition("?")[0].endswith(SUFFIXES):
        name = Path((files[0].relative or files[0].path) if files else full).name
        reason = f"no file in it ends in {', '.join(SUFFIXES)}; " + CONVERT.format(name=name)
        raise TableNotFound(full, kind="Parquet", reason=reason)
    folders: dict[str, set[str]] = {}
    for file in kept:
        for part in file.relative.split("/")[:-1]:
            name, sign, value = part.partition("=")
            if sign:
                folders.setdefault(name, set()).add(unquote(value))
    ends = kept if len(kept) <= 2 * FOOTERS else [*kept[:FOOTERS], *kept[-FOOTERS:]]
    footers = [read_footer(file.path) for file in ends]
    schema = footers[0].schema.to_arrow_schema()
    columns = {field.name: field.type for field in schema} | {name: pa.string() for name in folders}
    partitions = [_of_values(name, values - {NULL_PARTITION}) for name, values in folders.items()]
    held = [_of_values(name, _bounds(footers, name)) for name in _dated(schema) if name not in folders]
    return _found(table, columns, [*partitions, *held])


def _dated(schema: pa.Schema) -> list[str]:
    return [f.name for f in schema if pa.types.is_date(f.type) or pa.types.is_string(f.type)]


def _bounds(footers: Iterable[object], name: str) -> set[str]:
    """Return the least and the largest value of a column, as far as statistics name them."""
    found: set[str] = set()
    for footer in footers:
        for group in range(footer.num_row_groups):  # type: ignore[attr-defined]
            chunks = footer.row_group(group)  # type: ignore[attr-defined]
            for index in range(chunks.num_columns):
                chunk = chunks.column(index)
                told = chunk.statistics if chunk.path_in_schema == name else None
                if told is not None and told.has_min_max:
                    found |= {str(told.min), str(told.max)}
    return found


def _of_values(name: str, values: Iterable[str]) -> DayColumn | None:
    """Return a column whose values are all days; none otherwise."""
    try:
        days = sorted(dt.date.fromisoformat(value) for value in values)
    except ValueError:
        return None
    return DayColumn(name, days[0], days[-1]) if days else None


def _delta(table: Table, full: str) -> FoundTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        delta = DeltaTable(full)
        schema = pa.schema(delta.schema().to_arrow())
        actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
        partitioned = delta.metadata().partition_columns
    except (DeltaError, OSError, ValueError) as error:
        raise TableNotFound(full, kind="Delta", reason=storage.reason(error)) from error
    found = []
    for name in [*partitioned, *(name for name in _dated(schema) if name not in partitioned)]:
        keys = [f"partition.{name}"] if name in partitioned else [f"min.{name}", f"max.{name}"]
        values = {str(each[key]) for each in actions for key in keys if each.get(key) is not None}
        found.append(_of_values(name, values))
    return _found(table, {field.name: field.type for field in schema}, found)


def _iceberg(table: Table, label: str) -> FoundTable:
    iceberg = iceberg_table(table, label)
    schema = iceberg.schema().as_arrow()
    columns = {f.name: pa.string() if pa.types.is_large_string(f.type) else f.type for f in schema}
    named = [name for name, kind in columns.items() if pa.types.is_date(kind) or pa.types.is_string(kind)]
    found = []
    if iceberg.current_snapshot() is not None:
        metrics = iceberg.inspect.files().column("readable_metrics").to_pylist()
        for name in named:
            told = [each.get(name) or {} for each in metrics]
            values = {str(one[end]) for one in told for end in ("lower_bound", "upper_bound") if one.get(end)}
            found.append(_of_values(name, values))
    return _found(table, columns, found)


def _postgresql(table: Table, _: str) -> FoundTable:
    from lockstep.data.database_table import open_table

    with open_table(table) as source:
        schema = source.schema()
        bounds = source.bounds(source.day_columns())
    columns = {field.name: field.type for field in schema}
    days = [_of_values(name, {str(end) for end in ends if end is not None}) for name, ends in bounds.items()]
    return _found(table, columns, days)


def _found(table: Table, columns: Mapping[str, pa.DataType], days: Iterable[DayColumn | None]) -> FoundTable:
    times = tuple(name for name, kind in columns.items() if pa.types.is_timestamp(kind))
    return FoundTable(table, columns, tuple(day for day in days if day is not None), times)
