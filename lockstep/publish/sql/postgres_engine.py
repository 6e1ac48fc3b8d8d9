"""PostgreSQL as the engine of a warehouse: rows travel as Arrow through the binary COPY protocol (ADBC)."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import adbc_driver_manager
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

from lockstep.errors import CommitUncertain, PublishError, WarehouseBusy, WarehouseLocked, WarehouseUnreachable
from lockstep.publish.contract import ReportingTable, StagedFile
from lockstep.publish.evolution import Widenings
from lockstep.publish.sql.postgres_types import WIDENINGS, sql_type, wire_type
from lockstep.publish.sql.session import TABLES_QUERY, StatementFailed, quoted, text

UNPUBLISHED = "Nothing was published and what was live stays."
LOCK_TIMEOUT = "55P03"
# Classes of SQLSTATE after which the same command may do: resources, operator intervention, conflict, connection.
RESOURCES, STOPPED, CONFLICT, CONNECTION = "53", "57", "40", "08"
BROKEN = (
    "server closed the connection",
    "connection to server",
    "no connection to the server",
    "SSL SYSCALL",
    "EOF detected",
    "terminating connection",
)
BATCH_ROWS = 65_536
NUMERIC = (b"ADBC:postgresql:typname", b"numeric")


@dataclass(frozen=True)
class PostgresEngine:
    """A PostgreSQL database; see `SqlEngine`.

    Attributes:
        location: URL or connection string of libpq, without a password: that comes from PGPASSWORD, a password file or
            a service file.
        wait_s: How long to wait for a lock, in seconds.
    """

    location: str
    wait_s: float
    kind: str = "postgresql"
    widenings: ClassVar[Widenings] = WIDENINGS
    ddl_commits: ClassVar[bool] = False

    def exists(self) -> bool:
        """Say yes: a server is there or an error."""
        return True

    @contextlib.contextmanager
    def transaction(self, *, read_only: bool = False, consequence: str = UNPUBLISHED) -> Iterator["PostgresSession"]:
        """Open a connection for one transaction; see `SqlEngine`."""
        try:
            connection = dbapi.connect(self.location)
        except adbc_driver_manager.Error as error:
            raise self._translated(error, consequence="Nothing was published and what was live stays.") from error
        with contextlib.closing(connection), connection.cursor() as cursor:
            try:
                session = PostgresSession.opened(cursor, wait_s=self.wait_s, read_only=read_only)
                yield session
                self._commit(connection)
            except (StatementFailed, adbc_driver_manager.Error) as error:
                cause = error.__cause__ if isinstance(error, StatementFailed) else error
                raise self._translated(cause, consequence=consequence) from error

    def _commit(self, connection: dbapi.Connection) -> None:
        try:
            connection.commit()
        except adbc_driver_manager.Error as error:  # whether the server had committed when it broke is not known
            raise CommitUncertain(self.location, reason=first_line(error)) from error

    def _translated(self, error: BaseException | None, *, consequence: str) -> PublishError:
        reason = first_line(error)
        state = (getattr(error, "sqlstate", None) or "").strip("\0")
        if state == LOCK_TIMEOUT:
            return WarehouseLocked(self.location, holder="another transaction", waited_s=self.wait_s)
        if state[:2] in {STOPPED, CONNECTION} or any(words in reason for words in BROKEN):
            return WarehouseUnreachable(self.location, reason=reason)
        if state[:2] in {RESOURCES, CONFLICT}:
            return WarehouseBusy(f"warehouse {self.location}: {reason}. {consequence} Run the same command again.")
        return PublishError(f"warehouse {self.location} failed: {reason}. {consequence}")


@dataclass(frozen=True)
class PostgresSession:
    """An open transaction; see `SqlSession`."""

    cursor: Any
    schema: str

    @classmethod
    def opened(cls, cursor: Any, *, wait_s: float, read_only: bool) -> "PostgresSession":
        """Begin a transaction whose waits for locks are bounded."""
        session = cls(cursor, schema="")
        if read_only:
            session.rows("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.rows(f"SET LOCAL lock_timeout = {max(1, int(wait_s * 1000))}")
        session.rows("SET LOCAL TIME ZONE 'UTC'")
        found = session.rows("SELECT current_schema()")[0][0]
        if found is None:
            raise PublishError("the warehouse's search_path names no schema that exists. Create one and try again.")
        return cls(cursor, schema=quoted(found))

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        if parameters:
            first, *rest = query.split("?")
            query = first + "".join(f"${place}{part}" for place, part in enumerate(rest, start=1))
        try:
            self.cursor.execute(query, tuple(parameters) or None)
            return _values(self.cursor.fetch_arrow_table()) if self.cursor.description else []
        except adbc_driver_manager.Error as error:
            raise StatementFailed(first_line(error)) from error

    def stage(self, files: Sequence[StagedFile]) -> None:
        """Do nothing: files are loaded from where they are."""

    def begin(self) -> None:
        """Do nothing: the transaction is open."""

    def lock(self, name: str) -> None:
        """Keep other transactions from passing here with the same name until this one ends."""
        self.rows(
            "SELECT CAST(pg_advisory_xact_lock(hashtextextended(?, 0)) AS text)", [f"lockstep/{self.schema}/{name}"]
        )

    def tables(self) -> list[str]:
        """Return the names of all tables and views, sorted."""
        return [row[0] for row in self.rows(TABLES_QUERY)]

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table or view with their types, in order."""
        query = (
            "SELECT CAST(attname AS text), format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        return dict(self.rows(query, [quoted(table)]))

    def comment(self, table: str) -> str | None:
        """Return the comment on a table, `None` when there is no such table."""
        query = "SELECT coalesce(obj_description(to_regclass(?), 'pg_class'), '') WHERE to_regclass(?) IS NOT NULL"
        found = self.rows(query, [quoted(table), quoted(table)])
        return str(found[0][0]) if found else None

    def shape(self, files: Sequence[StagedFile]) -> dict[str, str]:
        """Return the columns of staged files with the types that a table for them has."""
        return {field.name: sql_type(field.type, column=field.name) for field in pq.read_schema(files[0].path)}

    def create(self, table: str, columns: Mapping[str, str], *, partition_column: str) -> None:
        """Create a table. A block-range index finds a partition, whose rows lie together, at next to no cost."""
        shape = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        self.rows(f"CREATE TABLE {quoted(table)} ({shape})")
        self.rows(f"CREATE INDEX ON {quoted(table)} USING brin ({quoted(partition_column)})")

    def delete(self, table: str, column: str, *, value: dt.date) -> int:
        """Delete the rows of a partition; return how many. Readers go on seeing them until the commit."""
        where = f"{quoted(table)} WHERE {quoted(column)} = ?"
        there = int(self.rows(f"SELECT count(*) FROM {where}", [value])[0][0])  # noqa: S608 - quoted
        self.rows(f"DELETE FROM {where}", [value])  # noqa: S608 - quoted; RETURNING would keep all of the rows
        return there

    def load(self, table: str, files: Sequence[StagedFile], *, columns: Mapping[str, str]) -> int:
        """Load staged files into a table by column name; return the rows."""
        return self._ingest(table, [file.path for file in files], columns=columns)

    def outcomes(self, table: ReportingTable, day: dt.date, *, name: str) -> None:
        """Make the temporary view of the source rows of a day, over a temporary table that the transaction drops."""
        files = table.outcome_files(day)
        arrow = {**table.outcomes_columns, **_arrow_columns(files)}
        arrow.pop(table.outcomes_partition, None)
        columns = {column: sql_type(_arrow(kind), column=column) for column, kind in arrow.items()}
        shape = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
        self.rows(f"CREATE TEMP TABLE {name}_rows ({shape}) ON COMMIT DROP")
        if files:
            self._ingest(f"{name}_rows", files, columns=columns, temporary=True)
        stamp = f"DATE {text(str(day))} AS {quoted(table.outcomes_partition)}"
        self.rows(f"CREATE TEMP VIEW {name} AS SELECT *, {stamp} FROM {name}_rows")  # noqa: S608 - names of our own

    def forget_outcomes(self, name: str) -> None:
        """Drop what `outcomes` made."""
        self.rows(f"DROP VIEW {name}")
        self.rows(f"DROP TABLE {name}_rows")

    def _ingest(self, table: str, files: Sequence[Path], *, columns: Mapping[str, str], temporary: bool = False) -> int:
        rows = ds.dataset([str(file) for file in files], format="parquet")
        wanted = [field for field in rows.schema if field.name in columns]
        target = pa.schema([(f.name, wire_type(columns[f.name], staged=f.type)) for f in wanted])
        scanner = rows.scanner(columns=target.names, batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1)
        reader = pa.RecordBatchReader.from_batches(target, (batch.cast(target) for batch in scanner.to_batches()))
        place = {"temporary": True} if temporary else {"db_schema_name": self.schema[1:-1].replace('""', '"')}
        try:
            return int(self.cursor.adbc_ingest(table, reader, mode="append", **place))
        except adbc_driver_manager.Error as error:
            raise StatementFailed(first_line(error)) from error


def _arrow_columns(files: Sequence[Path]) -> dict[str, Any]:
    return {field.name: field.type for file in files[:1] for field in pq.read_schema(file)}


def _arrow(kind: Any) -> pa.DataType:
    named = {"double": pa.float64(), "date32[day]": pa.date32(), "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC")}
    if isinstance(kind, pa.DataType):
        return kind
    return named[kind] if kind in named else pa.type_for_alias(kind)


def _values(found: pa.Table) -> list[tuple[Any, ...]]:
    """Return rows of Python values; what the driver hands over as the text of a `numeric` becomes a `Decimal`."""
    columns = [column.to_pylist() for column in found.columns]
    for place, column in enumerate(found.schema):
        if (column.metadata or {}).get(NUMERIC[0]) == NUMERIC[1]:
            columns[place] = [None if text is None else Decimal(text) for text in columns[place]]
    return list(zip(*columns, strict=True))


def first_line(error: BaseException | None) -> str:
    """Return what the server or the driver said, in one line, without its prefix and full stop."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    said = next(
        (line for line in lines if "ERROR:" in line or "FATAL:" in line), lines[0] if lines else "no reason given"
    )
    for mark in ("ERROR:", "FATAL:"):
        said = said.partition(mark)[2].strip() if mark in said else said
    return said.removeprefix("IO: ").removeprefix("INTERNAL: ").rstrip(".")
