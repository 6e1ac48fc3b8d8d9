"""A warehouse with SQL transactions: DuckDB, PostgreSQL or Snowflake. The ledger lives beside the rows."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.errors import PublishError
from lockstep.publish.contract import Publication, PublishRequest, ReportingTable, entry
from lockstep.publish.fencing import check_name, fence, is_live
from lockstep.publish.sql import ledger, reporting
from lockstep.publish.sql.session import SqlEngine, SqlSession, quoted
from lockstep.publish.sql.table import partition_rows, planned_changes, replace_partition, reserve_shape, reshape
from lockstep.publish.staged_files import read_footers, verify_files
from lockstep.run.plan import Claim

UNCHANGED = "Nothing was changed."


@dataclass(frozen=True)
class SqlWarehouse:
    """See `Warehouse` for the contract.

    Attributes:
        engine: Opens transactions.
    """

    engine: SqlEngine

    @property
    def kind(self) -> str:
        """As in the spec's `publish.warehouse`."""
        return self.engine.kind

    @property
    def location(self) -> str:
        """Where it is, without secrets."""
        return self.engine.location

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> Claim:
        """Hand out the next fencing token of a partition."""
        with self.engine.transaction() as session:
            ledger.ensure_ledger(session)
            session.begin()
            token = ledger.claim_token(session, table, partition=partition, run_key=run_key, now=now)
            live = ledger.live_publication(session, table, partition=partition, warehouse=self.location)
        already = live is not None and live.run_key == run_key
        return Claim(token=token, table=table, claimed_at=now, already_live=already)

    def live(self, table: str, partition: dt.date) -> Publication | None:
        """Return the entry of the live rows of a partition, or `None`. Writes nothing, not even an empty file."""
        if not self.engine.exists():
            return None
        with self.engine.transaction(read_only=True, consequence=UNCHANGED) as session:
            if not ledger.has_ledger(session):
                return None
            return ledger.live_publication(session, table, partition=partition, warehouse=self.location)

    def history(self, table: str | None = None) -> list[Publication]:
        """Return the entries of the ledger, oldest first."""
        if not self.engine.exists():
            return []
        with self.engine.transaction(read_only=True, consequence=UNCHANGED) as session:
            return ledger.entries(session, table, warehouse=self.location) if ledger.has_ledger(session) else []

    def prepare(self, request: PublishRequest) -> tuple[str, ...]:
        """Check names, files and columns; see `Warehouse`."""
        check_name(request, ledger.RESERVED)
        verify_files(request)
        read_footers(request)
        if not self.engine.exists():
            return ()
        with self.engine.transaction(read_only=True) as session:
            return planned_changes(session, request, widenings=self.engine.widenings)

    def publish(self, request: PublishRequest) -> Publication:
        """Make a run's rows the partition, and refresh the reporting tables, in one transaction; see `Warehouse`."""
        check_name(request, ledger.RESERVED)
        verify_files(request)
        read_footers(request)
        for table in request.reporting:
            self._check_computes(table)
        with self.engine.transaction() as session:
            ledger.ensure_ledger(session)
            ahead = self._make_ready(session, request) if self.engine.ddl_commits else ()
            session.begin()
            session.lock(f"{request.table}/{request.partition}")
            ledger.check_claim(session, request)
            done = self._replace(session, request)
            done = done.model_copy(update={"changes": (*ahead, *done.changes)})
            written = {t.name: reporting.refresh(session, t, [request.partition]) for t in request.reporting}
            done = done.model_copy(update={"reporting": written})
            ledger.append(session, done)
        return done

    def _make_ready(self, session: SqlSession, request: PublishRequest) -> tuple[str, ...]:
        """Change the table before the transaction, and bring the files near; return what changed.

        What forbids the publication is looked for first, and again in the transaction. Should that fail, the table is
        left with columns of nulls or of a wider type, which the next attempt finds and readers bear.
        """
        ledger.check_claim(session, request)
        live = ledger.live_publication(session, request.table, partition=request.partition, warehouse=self.location)
        fence(live, request)
        if is_live(live, request, rows_there=partition_rows(session, request)):
            return ()
        changes = reshape(session, request, widenings=self.engine.widenings)
        session.stage(request.files)
        return changes

    def _replace(self, session: SqlSession, request: PublishRequest) -> Publication:
        where = self.location
        live = ledger.live_publication(session, request.table, partition=request.partition, warehouse=where)
        fence(live, request)
        reserve_shape(session, request, widenings=self.engine.widenings)
        if live is not None and is_live(live, request, rows_there=partition_rows(session, request)):
            since = live.published_at
            return entry(request, warehouse=where, outcome="noop", rows=live.rows, since=since)
        replaced, changes = replace_partition(session, request, widenings=self.engine.widenings)
        return entry(
            request,
            warehouse=where,
            outcome=request.outcome,
            rows=request.rows,
            replaced=replaced,
            changes=changes,
        )

    def refuse(self, request: PublishRequest, reason: str) -> Publication:
        """Record in the ledger that a run was not published, and why."""
        refused = entry(request, warehouse=self.location, outcome="refused", rows=request.rows, reason=reason)
        with self.engine.transaction(consequence=UNCHANGED) as session:
            ledger.ensure_ledger(session)
            session.begin()
            ledger.append(session, refused)
        return refused

    def refresh_reporting(self, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:
        """Recompute partitions of a reporting table in one transaction; return the rows written.

        Raises:
            PublishError: The query does not run, or the engine makes no tables in a transaction.
        """
        self._check_computes(table)
        with self.engine.transaction(consequence=UNCHANGED) as session:
            ledger.ensure_ledger(session)
            return reporting.refresh(session, table, partitions)

    def _check_computes(self, table: ReportingTable) -> None:
        if self.engine.ddl_commits:
            raise PublishError(
                f"reporting table {table.name} of spec {table.spec}: {self.kind} makes no tables in a transaction. "
                "Leave out `reporting`, or publish to duckdb or postgresql."
            )

    def vacuum(self, table: str, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:  # noqa: ARG002
        """Drop nothing: of earlier publications, only their run folders hold rows."""
        return []

    def tables(self) -> list[str]:
        """Return the names of all tables and views; none when there is no warehouse yet."""
        if not self.engine.exists():
            return []
        with self.engine.transaction(read_only=True, consequence=UNCHANGED) as session:
            return session.tables()

    def read_table(self, name: str, *, limit: int | None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the first rows of a table or view, ordered by all columns from the left."""
        with self.engine.transaction(read_only=True, consequence=UNCHANGED) as session:
            columns = list(session.columns(name))
            if not columns:
                raise PublishError(f"warehouse {self.location} has no table or view {name!r}")
            order = ", ".join(str(place) for place in range(1, len(columns) + 1))
            ends = "" if limit is None else f" LIMIT {int(limit)}"
            return columns, session.rows(f"SELECT * FROM {quoted(name)} ORDER BY {order}{ends}")  # noqa: S608

    def read_days(
        self, name: str, *, column: str, first: dt.date, last: dt.date
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the rows of a table of some days, in any order."""
        with self.engine.transaction(read_only=True, consequence=UNCHANGED) as session:
            columns = list(session.columns(name))
            if not columns:
                raise PublishError(f"warehouse {self.location} has no table or view {name!r}")
            query = f"SELECT * FROM {quoted(name)} WHERE {quoted(column)} BETWEEN DATE '{first}' AND DATE '{last}'"  # noqa: S608
            return columns, session.rows(query)
