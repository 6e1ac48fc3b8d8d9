"""DuckDB as the engine of a warehouse: one file, one writer at a time, real transactions."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import CommitUncertain, PublishError
from lockstep.publish.contract import ReportingTable, StagedFile
from lockstep.publish.evolution import Widenings
from lockstep.publish.patience import Patience
from lockstep.publish.sql.duckdb_connection import CONFLICT, CommitUnknown, connected, first_line, transaction
from lockstep.publish.sql.session import TABLES_QUERY, StatementFailed, quoted, text

UNPUBLISHED = "Nothing was published and what was live stays."
GLOB_CHARACTERS = "*?["
# DuckDB has arrays of a fixed size up to this one; larger tensors are lists.
LARGEST_ARRAY = 100_000
WIDENINGS: Widenings = {
    "TINYINT": {"SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"},
    "SMALLINT": {"INTEGER", "BIGINT", "FLOAT", "DOUBLE"},
    "INTEGER": {"BIGINT", "DOUBLE"},
    "UTINYINT": {"SMALLINT", "INTEGER", "BIGINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"},
    "USMALLINT": {"INTEGER", "BIGINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"},
    "UINTEGER": {"BIGINT", "UBIGINT", "DOUBLE"},
    "FLOAT": {"DOUBLE"},
}
# Types of Arrow, as reporting tables name those of outcomes, whose name in DuckDB is another.
SQL_TYPES = {
    "string": "VARCHAR",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class DuckDBEngine:
    """A DuckDB file; see `SqlEngine`.

    Attributes:
        location: Path of the file.
        wait_s: How long to wait for another process that has it open, in seconds.
    """

    location: str
    wait_s: float
    kind: str = "duckdb"
    widenings: ClassVar[Widenings] = WIDENINGS
    ddl_commits: ClassVar[bool] = False

    def exists(self) -> bool:
        """Whether the file is there."""
        return Path(self.location).exists()

    @contextlib.contextmanager
    def transaction(self, *, read_only: bool = False, consequence: str = UNPUBLISHED) -> Iterator["DuckDBSession"]:
        """Open the file for one transaction; see `SqlEngine`."""
        path, patience = Path(self.location), Patience(self.wait_s)
        try:
            with connected(path, patience, read_only=read_only) as connection, transaction(connection):
                yield DuckDBSession(connection)
        except CommitUnknown as error:
            raise CommitUncertain(str(path), reason=str(error)) from error
        except StatementFailed as error:
            raise PublishError(f"warehouse {path} failed: {error}. {consequence}") from error
        except duckdb.Error as error:
            raise PublishError(f"warehouse {path} failed: {first_line(error)}. {consequence}") from error


@dataclass(frozen=True)
class DuckDBSession:
    """An open transaction; see `SqlSession`."""

    connection: duckdb.DuckDBPyConnection
    schema: str = "main"

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        try:
            return self.connection.execute(query, list(parameters)).fetchall()
        except duckdb.Error as error:
            if CONFLICT in str(error):
                raise
            raise StatementFailed(first_line(error)) from error

    def stage(self, files: Sequence[StagedFile]) -> None:
        """Do nothing: files are loaded from where they are."""

    def begin(self) -> None:
        """Do nothing: the transaction is open."""

    def lock(self, name: str) -> None:
        """Do nothing: the file has one writer."""

    def tables(self) -> list[str]:
        """Return the names of all tables and views, sorted."""
        return [row[0] for row in self.rows(TABLES_QUERY)]

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table or view with their types, in order."""
        where = "table_name = ? AND NOT internal AND schema_name = 'main'"
        query = f"SELECT column_name, data_type FROM duckdb_columns() WHERE {where} ORDER BY column_index"  # noqa: S608
        return dict(self.rows(query, [table]))

    def comment(self, table: str) -> str | None:
        """Return the comment on a table, `None` when there is no such table."""
        query = "SELECT comment FROM duckdb_tables() WHERE table_name = ? AND NOT internal AND schema_name = 'main'"
        found = self.rows(query, [table])
        return (found[0][0] or "") if found else None

    def shape(self, files: Sequence[StagedFile]) -> dict[str, str]:
        """Return the columns of staged files with the types that a table for them has."""
        found = self.rows("DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [_paths(files)])
        kinds: dict[str, str] = {row[0]: row[1] for row in found}
        return kinds | _tensors(pq.read_schema(files[0].path), kinds)

    def create(self, table: str, columns: Mapping[str, str], *, partition_column: str) -> None:  # noqa: ARG002
        """Create a table; its row groups know their least and greatest day by themselves."""
        shape = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        self.rows(f"CREATE TABLE {quoted(table)} ({shape})")

    def delete(self, table: str, column: str, *, value: dt.date) -> int:
        """Delete the rows of a partition; return how many."""
        return int(self.rows(f"DELETE FROM {quoted(table)} WHERE {quoted(column)} = ?", [value])[0][0])  # noqa: S608

    def load(self, table: str, files: Sequence[StagedFile], *, columns: Mapping[str, str]) -> int:  # noqa: ARG002
        """Load staged files into a table by column name; return the rows."""
        query = f"INSERT INTO {quoted(table)} BY NAME SELECT * FROM read_parquet(?, hive_partitioning = false)"  # noqa: S608
        return int(self.rows(query, [_paths(files)])[0][0])

    def outcomes(self, table: ReportingTable, day: dt.date, *, name: str) -> None:
        """Make the temporary view of the source rows of a day."""
        self.rows(f"CREATE TEMP VIEW {name} AS {_outcomes(table, day)}")

    def forget_outcomes(self, name: str) -> None:
        """Drop the temporary view."""
        self.rows(f"DROP VIEW {name}")


def _paths(files: Sequence[StagedFile]) -> list[str]:
    return [literal_path(file.path) for file in files]


def literal_path(path: Path) -> str:
    """Write a path so that DuckDB reads that very file, whatever pattern characters its name has."""
    return "".join(f"[{char}]" if char in GLOB_CHARACTERS else char for char in str(path))


def _tensors(schema: pa.Schema, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the array types, such as `FLOAT[384]`, of columns that DuckDB reads as lists of any length.

    They take less room, and vector functions accept them alone.
    """
    return {
        field.name: f"{kinds[field.name].removesuffix('[]')}[{field.type.list_size}]"
        for field in schema
        if pa.types.is_fixed_size_list(field.type) and 0 < field.type.list_size <= LARGEST_ARRAY
    }


def _outcomes(table: ReportingTable, day: dt.date) -> str:
    stamp = f"DATE '{day}' AS {quoted(table.outcomes_partition)}"
    if found := table.outcome_files(day):
        files = f"[{', '.join(text(literal_path(file)) for file in found)}]"
        columns = f"COLUMNS(name -> name <> {text(table.outcomes_partition)}), {stamp}"
        options = "hive_partitioning = false, union_by_name = true"
        return f"SELECT {columns} FROM read_parquet({files}, {options})"  # noqa: S608 - quoted
    empty = [f"CAST(NULL AS {SQL_TYPES[kind]}) AS {quoted(name)}" for name, kind in table.outcomes_columns.items()]
    return f"SELECT {', '.join([*empty, stamp])} WHERE false"
