"""What the SQL warehouses share: one open transaction, and the engine that opens it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from lockstep.publish.contract import ReportingTable, StagedFile
from lockstep.publish.evolution import Widenings


class StatementFailed(Exception):
    """The engine refused a statement; `transaction` turns it into an error of ours, with what it means."""


class SqlSession(Protocol):
    """One open transaction. Queries have `?` for parameters and name types that every engine knows.

    In an engine whose statements about tables commit (`SqlEngine.ddl_commits`) the transaction proper begins with
    `begin`: tables are made and changed before it, and nothing else is written before it.
    """

    @property
    def schema(self) -> str:
        """Schema of all tables, quoted."""

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows.

        Args:
            query: The statement; one with parameters holds a `?` for each, and none in a text.
            parameters: Their values.

        Raises:
            StatementFailed: The engine refused it.
        """

    def stage(self, files: Sequence[StagedFile]) -> None:
        """Bring files near, so that `load` takes less time; called before `begin`, and only where DDL commits."""

    def begin(self) -> None:
        """Begin what is committed as a whole; everything that was done before stays whatever happens."""

    def lock(self, name: str) -> None:
        """Keep other transactions from passing here with the same name until this one ends."""

    def tables(self) -> list[str]:
        """Return the names of all tables and views, sorted."""

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table or view with their types, in order; empty when there is none."""

    def comment(self, table: str) -> str | None:
        """Return the comment on a table, `""` when it has none, `None` when there is no such table."""

    def shape(self, files: Sequence[StagedFile]) -> dict[str, str]:
        """Return the columns of staged files with the types that a table for them has."""

    def create(self, table: str, columns: Mapping[str, str], *, partition_column: str) -> None:
        """Create a table with these columns and types."""

    def delete(self, table: str, column: str, *, value: dt.date) -> int:
        """Delete the rows of a partition; return how many."""

    def load(self, table: str, files: Sequence[StagedFile], *, columns: Mapping[str, str]) -> int:
        """Load staged files into a table by column name; return the rows.

        Args:
            table: An existing table, which may have more columns.
            files: Parquet files.
            columns: Columns of the table with their types.
        """

    def outcomes(self, table: ReportingTable, day: dt.date, *, name: str) -> None:
        """Make the temporary relation `name`: the source rows of a day as they are now, perhaps none."""

    def forget_outcomes(self, name: str) -> None:
        """Drop what `outcomes` made."""


class SqlEngine(Protocol):
    """Opens transactions on one warehouse."""

    @property
    def kind(self) -> str:
        """As in the spec's `publish.warehouse`."""

    @property
    def widenings(self) -> Widenings:
        """Which types of columns may become which."""

    @property
    def ddl_commits(self) -> bool:
        """Whether statements about tables commit what was done before them, and cannot be rolled back."""

    @property
    def location(self) -> str:
        """Where it is, without secrets."""

    def exists(self) -> bool:
        """Whether there is anything to read from; creates nothing."""

    def transaction(self, *, read_only: bool = False, consequence: str = "") -> AbstractContextManager[SqlSession]:
        """Commit what the body did, or none of it.

        Args:
            read_only: The body only reads.
            consequence: What a failure of the body means, for its message.
        """


# Of a database that keeps to the standard's information schema.
TABLES_QUERY = (
    "SELECT table_name FROM information_schema.tables "
    "WHERE table_schema = current_schema() AND table_catalog = current_catalog ORDER BY 1"
)


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Write an SQL string."""
    return "'" + value.replace("'", "''") + "'"
