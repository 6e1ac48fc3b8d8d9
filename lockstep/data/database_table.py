"""A day of a table or view in PostgreSQL: what tells its content apart, and its rows, in one read-only transaction.

Rows come as Arrow through the binary COPY protocol (ADBC). A type that Arrow has no like of is asked for as another:
`numeric` as double, and the others (`uuid`, `jsonb`, an enum, ...) as text.
"""

import contextlib
import datetime as dt
import difflib
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lockstep.data.table_scan import TABLE_VIEW, Day, check_whole, not_found
from lockstep.errors import ColumnTypeMismatch, DatabaseUnreachable, LibraryMissing, TableNotFound
from lockstep.run.plan import SourceFile
from lockstep.specs.input_spec import Table

if TYPE_CHECKING:
    from adbc_driver_manager import Error

KIND = "PostgreSQL"
DATES, TEXTS, TIMES = ("date",), ("text", "character varying", "character"), ("timestamp",)
AS_THEY_ARE = ("boolean", "smallint", "integer", "bigint", "real", "double precision", "bytea", *DATES, *TEXTS, *TIMES)
# So that a value has the same text whoever asks, and reading waits for no lock that a change of the table holds.
SETTINGS = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "SET LOCAL TIME ZONE 'UTC'",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL lock_timeout = '60s'",
)
# Classes of SQLSTATE after which the same command may do: resources, operator intervention, conflict, connection, lock.
PASSING = ("53", "57", "40", "08", "55")
# Of other tables, in a message.
LISTED = 5


@dataclass(frozen=True)
class DatabaseTable:
    """A table of a database, in a transaction.

    Attributes:
        declared: As the spec declares it.
        relation: Its name in SQL.
        columns: Name to type, as PostgreSQL calls it; in order.
    """

    declared: Table
    relation: str
    columns: Mapping[str, str]
    cursor: Any

    def fingerprint(self, day: Day) -> SourceFile:
        """Return what tells the content of a day apart: the sum of a hash of each row, and the columns.

        Raises:
            PartitionNotFound: There is no row of the day.
            TableUnsupported: Table and spec do not agree on whether it has days.
            ColumnTypeMismatch: The day column holds neither dates nor texts.
        """
        rows = f"SELECT CAST(lockstep_row AS text) AS row FROM {self._rows_of(day)}"  # noqa: S608 - quoted
        sums = "count(*), CAST(coalesce(sum(hashtextextended(row, 0)), 0) AS text), coalesce(sum(octet_length(row)), 0)"
        [(count, hashed, size)] = self._values(f"SELECT {sums} FROM ({rows}) AS texts")  # noqa: S608 - quoted
        if not count:
            raise not_found(self.declared.label, day, available=self._available(day.column))
        shape = hashlib.sha256(repr(list(self.columns.items())).encode()).hexdigest()[:16]
        version = f"{count} rows {hashed} columns {shape}"
        return SourceFile(view=TABLE_VIEW, path=self.declared.label, size_bytes=int(size), mtime_ns=0, version=version)

    def read(
        self, names: Sequence[str], day: Day, *, key: Sequence[str] = (), most: int | None = None
    ) -> pa.RecordBatchReader:
        """Read rows of a day.

        Args:
            names: Wanted columns; the day's is a date.
            day: Which day.
            key: Columns that order the rows, texts by their bytes.
            most: Of more rows, so many of them, the same ones each time; none: all.
        """
        wanted = ", ".join(f"{self._expression(name, day)} AS {quoted(name)}" for name in names)
        ordered = ", ".join(self._order(name) for name in key if name in self.columns)
        order = f" ORDER BY {ordered}" if ordered else ""
        if most is not None:
            order = f" ORDER BY hashtextextended(CAST(lockstep_row AS text), 0) LIMIT {most}"
        return self._reader(f"SELECT {wanted} FROM {self._rows_of(day)}{order}")  # noqa: S608 - quoted

    def count(self, day: Day) -> int:
        """Return how many rows a day has."""
        return int(self._values(f"SELECT count(*) FROM {self._rows_of(day)}")[0][0])  # noqa: S608 - quoted

    def schema(self) -> pa.Schema:
        """Return the columns with the types that they are read in."""
        nowhen = Day("", dt.date.min)
        wanted = ", ".join(f"{self._expression(name, nowhen)} AS {quoted(name)}" for name in self.columns)
        return self._reader(f"SELECT {wanted} FROM {self.relation} LIMIT 0").schema  # noqa: S608 - quoted

    def day_columns(self) -> list[str]:
        """Return the columns that may hold days, by their type."""
        return [name for name, kind in self.columns.items() if _is_one_of(kind, (*DATES, *TEXTS))]

    def bounds(self, columns: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """Return the least and the largest value of columns, nulls where there is none."""
        if not columns:
            return {}
        wanted = ", ".join(f"min({quoted(name)}), max({quoted(name)})" for name in columns)
        [values] = self._values(f"SELECT {wanted} FROM {self.relation}")  # noqa: S608 - quoted
        return dict(zip(columns, zip(values[::2], values[1::2], strict=True), strict=True))

    def _available(self, column: str) -> str:
        if self.declared.whole:
            return "no row at all"
        first, last = self.bounds([column])[column]
        return f"{first} to {last}" if first is not None else "nothing"

    def _rows_of(self, day: Day) -> str:
        has_column = day.column in self.columns
        check_whole(self.declared, day, has_column=has_column, label=self.declared.label)
        source = f"{self.relation} AS lockstep_row"
        if not has_column:
            return source
        kind = self.columns[day.column]
        if not _is_one_of(kind, (*DATES, *TEXTS)):
            expected = "date (or text as YYYY-MM-DD)"
            raise ColumnTypeMismatch(day.column, where=self.declared.label, expected=expected, got=kind)
        return f"{source} WHERE {quoted(day.column)} = '{day.value.isoformat()}'"

    def _expression(self, name: str, day: Day) -> str:
        if name == day.column:
            return f"DATE '{day.value.isoformat()}'"
        kind = self.columns[name]
        suffix = "[]" if kind.endswith("[]") else ""
        if _base(kind) == "numeric":
            return f"CAST({quoted(name)} AS double precision{suffix})"
        return quoted(name) if _base(kind) in AS_THEY_ARE else f"CAST({quoted(name)} AS text{suffix})"

    def _order(self, name: str) -> str:
        return quoted(name) + (' COLLATE "C"' if _is_one_of(self.columns[name], TEXTS) else "")

    def _reader(self, query: str) -> pa.RecordBatchReader:
        self.cursor.execute(query)
        reader = self.cursor.fetch_record_batch()
        plain = pa.schema([field.remove_metadata() for field in reader.schema.remove_metadata()])
        return pa.RecordBatchReader.from_batches(plain, self._batches(reader, plain))

    def _batches(self, reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            for batch in reader:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        except OSError as error:  # while rows come, the driver's errors are Arrow's
            raise DatabaseUnreachable(self.declared.label, reason=_said(error)) from error
        except pa.ArrowException as error:
            raise TableNotFound(self.declared.label, kind=KIND, reason=_said(error)) from error

    def _values(self, query: str) -> list[tuple[Any, ...]]:
        return rows_of(self.cursor, query)


@contextlib.contextmanager
def open_table(table: Table) -> Iterator[DatabaseTable]:
    """Begin a transaction that reads a table of a database.

    Args:
        table: As a spec declares it, of `format: postgresql`. The password comes from `PGPASSWORD`, a password file or
            a service file.

    Raises:
        DatabaseUnreachable: The server does not answer, or broke off; the same command may do later.
        TableNotFound: There is no such table, or it may not be read.
        LibraryMissing: The extra `postgresql` is not installed.
    """
    with reading(str(table.path), label=table.label) as cursor:
        relation = ".".join(quoted(part) for part in str(table.name).split("."))
        named = f"attrelid = to_regclass({literal(relation)}) AND attnum > 0 AND NOT attisdropped"
        shape = "CAST(attname AS text), format_type(atttypid, atttypmod)"
        columns = dict(rows_of(cursor, f"SELECT {shape} FROM pg_attribute WHERE {named} ORDER BY attnum"))  # noqa: S608
        if not columns:
            there = table_names(cursor)
            near = difflib.get_close_matches(str(table.name), there, n=LISTED) or there[:LISTED]
            has = f"the database has {', '.join(near)}" if near else "the database has no table"
            raise TableNotFound(table.label, kind=KIND, reason=f"there is no such table; {has}")
        yield DatabaseTable(table, relation, columns, cursor)


@contextlib.contextmanager
def reading(url: str, *, label: str) -> Iterator[Any]:
    """Open a cursor of a read-only transaction; raises what `open_table` does."""
    try:
        import adbc_driver_manager
        from adbc_driver_postgresql import dbapi
    except ModuleNotFoundError as error:
        raise LibraryMissing(str(error.name), extra="postgresql", environment=sys.prefix) from error
    try:
        connection = dbapi.connect(url)
        with contextlib.closing(connection), connection.cursor() as cursor:
            for setting in SETTINGS:
                cursor.execute(setting)
            yield cursor
    except adbc_driver_manager.Error as error:
        raise _translated(error, label) from error


def table_names(cursor: Any) -> list[str]:
    """Return the tables and views that may be read, with their schemas."""
    query = (
        "SELECT CAST(table_schema AS text) || '.' || CAST(table_name AS text) FROM information_schema.tables "
        "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
    )
    return [name for (name,) in rows_of(cursor, query)]


def rows_of(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    """Run a query; return its rows."""
    cursor.execute(query)
    return list(zip(*(column.to_pylist() for column in cursor.fetch_arrow_table().columns), strict=True))


def quoted(name: str) -> str:
    """Return a name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _base(kind: str) -> str:
    """Return a type without its length, its time zone and its being an array."""
    return re.sub(r"\(.*?\)", "", kind).removesuffix("[]").partition(" with")[0]


def _is_one_of(kind: str, kinds: Sequence[str]) -> bool:
    return not kind.endswith("[]") and _base(kind) in kinds


def _translated(error: "Error", label: str) -> TableNotFound | DatabaseUnreachable:
    state, said = (error.sqlstate or "").strip("\0"), _said(error)
    # libpq gives no state to a connection that it could not make.
    if state[:2] in PASSING or (not state and "authentication failed" not in said and "does not exist" not in said):
        return DatabaseUnreachable(label, reason=said)
    return TableNotFound(label, kind=KIND, reason=said)


def _said(error: Exception) -> str:
    """Return what the server or the driver said, in one line, without what they put before it."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or ["no reason given"]
    said = next((line for line in lines if "ERROR:" in line or "FATAL:" in line), lines[0])
    for mark in ("ERROR:", "FATAL:"):
        said = said.partition(mark)[2].strip() if mark in said else said
    for mark in ("IO: ", "INTERNAL: ", "[libpq] ", "Failed to connect: "):
        said = said.removeprefix(mark)
    return said.rstrip(".")
