"""Snowflake as the engine of a warehouse: staged files are PUT to a temporary stage and copied in one transaction.

Statements about tables commit there. So tables are made and changed, and files are uploaded, before the transaction
begins; in it there are only the lock, DELETE, COPY INTO and the ledger's entry.
"""

import contextlib
import datetime as dt
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
from snowflake.connector import errors

from lockstep.errors import CommitUncertain, PublishError, WarehouseBusy
from lockstep.publish.contract import ReportingTable, StagedFile
from lockstep.publish.evolution import Widenings
from lockstep.publish.sql.ledger import CLAIMS, CLAIMS_LOCK, LEDGER, LEDGER_LOCK, TABLES_LOCK
from lockstep.publish.sql.session import StatementFailed, quoted, text
from lockstep.publish.sql.snowflake_connection import connect, first_line, translated
from lockstep.publish.sql.snowflake_types import WIDENINGS, columns_of, listed, unfolded

UNPUBLISHED = "Nothing was published and what was live stays."
COMMITS = re.compile(r"\s*(CREATE|ALTER|DROP|COMMENT|TRUNCATE|GRANT|REVOKE|UNDROP)\b", re.IGNORECASE)
# An UPDATE keeps the whole table from other UPDATEs until the transaction ends: one table for each kind of name.
LOCKS = {LEDGER: LEDGER_LOCK, CLAIMS: CLAIMS_LOCK}


@dataclass(frozen=True)
class SnowflakeEngine:
    """A schema of a Snowflake account; see `SqlEngine`.

    Attributes:
        location: Name of a connection in the connector's own configuration, then perhaps `/DATABASE/SCHEMA`.
        wait_s: How long to wait for a lock, in seconds.
    """

    location: str
    wait_s: float
    kind: str = "snowflake"
    widenings: ClassVar[Widenings] = WIDENINGS
    ddl_commits: ClassVar[bool] = True

    def exists(self) -> bool:
        """Say yes: an account is there or an error."""
        return True

    @contextlib.contextmanager
    def transaction(self, *, read_only: bool = False, consequence: str = UNPUBLISHED) -> Iterator["SnowflakeSession"]:  # noqa: ARG002
        """Open a connection; the transaction begins with the session's `begin`; see `SqlEngine`."""
        try:
            with contextlib.closing(connect(self.location, wait_s=self.wait_s)) as connection:
                session = SnowflakeSession.opened(connection.cursor())
                try:
                    yield session
                except BaseException:
                    session.rollback()
                    raise
                self._commit(session)
        except (StatementFailed, errors.Error) as error:
            cause = error.__cause__ if isinstance(error, StatementFailed) and error.__cause__ else error
            raise translated(cause, location=self.location, consequence=consequence, wait_s=self.wait_s) from error

    def _commit(self, session: "SnowflakeSession") -> None:
        if not session.began:
            return
        try:
            session.rows("COMMIT")
        except StatementFailed as error:  # whether it had committed when the connection broke is not known
            session.rollback()  # of what was not committed: a session that lingers would keep its locks
            raise CommitUncertain(self.location, reason=str(error)) from error


@dataclass
class SnowflakeSession:
    """A connection, which commits each statement until `begin`; see `SqlSession`.

    Attributes:
        cursor: Of the connection, which nothing else uses.
        schema: Quoted.
        began: Whether statements wait for COMMIT.
        staged: The temporary stage with the files of `stage`.
        files: Those files.
    """

    cursor: Any
    schema: str
    began: bool = False
    staged: str = ""
    files: Sequence[StagedFile] = ()

    @classmethod
    def opened(cls, cursor: Any) -> "SnowflakeSession":
        """Return a session in the connection's schema."""
        found = cls(cursor, schema="").rows("SELECT current_schema()")[0][0]
        if found is None:
            raise PublishError(
                "the Snowflake connection is in no schema. Nothing was published. Name database and schema in "
                "LOCKSTEP_SNOWFLAKE (name/DATABASE/SCHEMA) or in the connection itself."
            )
        return cls(cursor, schema=quoted(found))

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows.

        Raises:
            WarehouseBusy: It would commit the open transaction half-way, because the table changed meanwhile.
        """
        if self.began and COMMITS.match(query):
            raise WarehouseBusy(
                "the table was changed by somebody else while it was published. Nothing was published and what was "
                "live stays. Run the same command again."
            )
        try:
            self.cursor.execute(unfolded(query), [_bound(value) for value in parameters] or None)
            return [tuple(row) for row in self.cursor.fetchall()]
        except errors.Error as error:
            raise StatementFailed(first_line(error)) from error

    def stage(self, files: Sequence[StagedFile]) -> None:
        """Upload files to a stage that ends with this session, under names of ours: PUT takes names for patterns."""
        self.staged, self.files = f"LOCKSTEP_{uuid.uuid4().hex.upper()}", tuple(files)
        self.rows(f"CREATE TEMPORARY STAGE {self.staged}")
        with tempfile.TemporaryDirectory(prefix="lockstep-put-") as folder:
            for place, file in enumerate(files):
                (Path(folder) / f"{place:06}.parquet").symlink_to(file.path.absolute())
            put = f"PUT {text(f'file://{folder}/*.parquet')} @{self.staged} AUTO_COMPRESS = FALSE"
            done = self.rows(put) if files else []
        if len(done) != len(files):
            raise StatementFailed(f"{len(done)} of {len(files)} files were uploaded")

    def begin(self) -> None:
        """Make the tables that `lock` needs, then let the next UPDATE open a transaction that only COMMIT commits."""
        if len(self._like("LOCKSTEP_LOCK_%")) < len(LOCKS) + 1:
            for name in (*LOCKS.values(), TABLES_LOCK):
                self.rows(f"CREATE TABLE IF NOT EXISTS {quoted(name)} AS SELECT 1 AS held")
        self.rows("ALTER SESSION SET AUTOCOMMIT = FALSE")
        self.began = True

    def rollback(self) -> None:
        """Undo what was done since `begin`; a connection that is gone has done so."""
        if self.began:
            with contextlib.suppress(StatementFailed):
                self.rows("ROLLBACK")

    def lock(self, name: str) -> None:
        """Keep other transactions from passing here with a name of this kind until this one ends."""
        if self.began:
            self.rows(f"UPDATE {quoted(LOCKS.get(name.partition('/')[0], TABLES_LOCK))} SET held = 1 - held")  # noqa: S608

    def tables(self) -> list[str]:
        """Return the names of all tables and views, sorted."""
        return sorted(name.lower() for name in self._like("%"))

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table or view with their types, in order; names in lower case."""
        query = (
            "SELECT column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position"
        )
        return listed({row[0]: (row[1], row[2], row[3]) for row in self.rows(query, [table.upper()])})

    def comment(self, table: str) -> str | None:
        """Return the comment on a table, `None` when there is no such table."""
        query = "SELECT comment FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = ?"
        found = self.rows(query, [table.upper()])
        return str(found[0][0] or "") if found else None

    def shape(self, files: Sequence[StagedFile]) -> dict[str, str]:
        """Return the columns of staged files with the types that a table for them has; names in lower case."""
        return columns_of(pq.read_schema(files[0].path))

    def create(self, table: str, columns: Mapping[str, str], *, partition_column: str) -> None:  # noqa: ARG002
        """Create a table, unless another run did; its micro-partitions know their least and greatest day."""
        shape = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        self.rows(f"CREATE TABLE IF NOT EXISTS {quoted(table)} ({shape})")

    def delete(self, table: str, column: str, *, value: dt.date) -> int:
        """Delete the rows of a partition; return how many. Readers go on seeing them until the commit."""
        return int(self.rows(f"DELETE FROM {quoted(table)} WHERE {quoted(column)} = ?", [value])[0][0])  # noqa: S608

    def load(self, table: str, files: Sequence[StagedFile], *, columns: Mapping[str, str]) -> int:  # noqa: ARG002
        """Copy the files that `stage` uploaded into a table by column name; return the rows.

        Raises:
            WarehouseBusy: They were not uploaded, because they seemed to be live when that was looked for.
        """
        if tuple(files) != tuple(self.files):
            raise WarehouseBusy(
                f"table {table} was changed by somebody else while it was published. Nothing was published and what "
                "was live stays. Run the same command again."
            )
        done = self.rows(
            f"COPY INTO {quoted(table)} FROM @{self.staged} FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE "
            "BINARY_AS_TEXT = FALSE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
        )
        return sum(int(row[3]) for row in done if len(row) > 3)  # one text alone: no file was loaded

    def outcomes(self, table: ReportingTable, day: dt.date, *, name: str) -> None:
        """Refuse: a view would commit the transaction; `SqlWarehouse` asks for none."""
        raise StatementFailed(f"Snowflake computes no reporting tables such as {table.name} ({day}, {name})")

    def forget_outcomes(self, name: str) -> None:
        """Do nothing: `outcomes` makes nothing."""

    def _like(self, pattern: str) -> list[str]:
        """Return the tables and views whose names match; whether the former hold the latter differs by version."""
        where = "WHERE table_schema = current_schema() AND table_name LIKE ?"
        query = " UNION ".join(
            f"SELECT table_name FROM information_schema.{kind} {where}"  # noqa: S608 - constants
            for kind in ("tables", "views")
        )
        return [row[0] for row in self.rows(query, [pattern, pattern])]


def _bound(value: object) -> object:
    """Give a moment its type: the connector would drop its zone."""
    return ("TIMESTAMP_TZ", value) if isinstance(value, dt.datetime) else value
