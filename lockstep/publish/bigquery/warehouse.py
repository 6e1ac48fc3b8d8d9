"""A dataset of BigQuery as a warehouse, experimental: tested against an emulator only."""

import contextlib
import datetime as dt
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from lockstep.errors import CommitConflict, PublishError
from lockstep.publish.bigquery import ledger
from lockstep.publish.bigquery.connection import quoted
from lockstep.publish.bigquery.publication import Attempts, staged_columns, table_changes
from lockstep.publish.bigquery.script import append_script, claim_script
from lockstep.publish.bigquery.session import BigQuerySession, CommitLost, opened
from lockstep.publish.contract import Publication, PublishRequest, ReportingTable, entry
from lockstep.publish.fencing import check_name
from lockstep.publish.patience import Patience
from lockstep.publish.sql.ledger import LEDGER, RESERVED
from lockstep.publish.staged_files import read_footers, verify_files
from lockstep.run.plan import Claim

UNCHANGED = "Nothing was changed."
T = TypeVar("T")

log = logging.getLogger("lockstep.publish")


@functools.cache
def say_experimental() -> None:
    """Warn, once in a process, that nobody has tried this on Google's servers."""
    log.warning(
        "BigQuery is experimental: Lockstep is tested against an emulator of it only. Try it on a dataset of no "
        "importance first (docs/publishing.md)."
    )


@dataclass(frozen=True)
class BigQueryWarehouse:
    """See `Warehouse` for the contract.

    Attributes:
        location: `project/dataset`, or `project/dataset/region`.
        wait_s: How long to go on after lost races, and for answers, in seconds.
    """

    location: str
    wait_s: float
    kind: ClassVar[str] = "bigquery"

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> Claim:
        """Hand out the next fencing token of a partition."""
        say_experimental()
        with self._opened() as session:
            ledger.ensure_ledger(session)

            def take(attempt: int) -> int:
                token = ledger.next_token(session, table, partition=partition)
                claim = {"table_name": table, "partition_date": partition, "token": token}
                script = claim_script(session.dataset, {**claim, "run_key": run_key, "claimed_at": now})
                session.run(script, attempt=attempt)
                return token

            token = self._retried(table, take)
            live = ledger.look(session, table, partition=partition).live
        already = live is not None and live.run_key == run_key
        return Claim(token=token, table=table, claimed_at=now, already_live=already)

    def live(self, table: str, partition: dt.date) -> Publication | None:
        """Return the entry of the live rows of a partition, or `None`. Writes nothing."""
        with self._opened(UNCHANGED) as session:
            if not session.columns(LEDGER):
                return None
            return ledger.look(session, table, partition=partition).live

    def history(self, table: str | None = None) -> list[Publication]:
        """Return the entries of the ledger, oldest first. Writes nothing."""
        with self._opened(UNCHANGED) as session:
            return ledger.entries(session, table)

    def prepare(self, request: PublishRequest) -> tuple[str, ...]:
        """Check names, files and columns; see `Warehouse`."""
        check_name(request, RESERVED)
        verify_files(request)
        columns = staged_columns(read_footers(request))
        with self._opened() as session:
            existing = session.columns(request.table)
        return table_changes(request, existing, columns).sentences(existing)

    def publish(self, request: PublishRequest) -> Publication:
        """Load the files into a staging table, and make their rows the partition by one script; see `Warehouse`."""
        check_name(request, RESERVED)
        verify_files(request)
        columns = staged_columns(read_footers(request))
        for table in request.reporting:
            raise self._computes_nothing(table)
        say_experimental()
        with self._opened() as session, contextlib.ExitStack() as stack:
            ledger.ensure_ledger(session)
            ledger.check_claim(session, request)
            return self._retried(request.table, Attempts(session, request, columns=columns, stack=stack).publish)

    def refuse(self, request: PublishRequest, reason: str) -> Publication:
        """Record in the ledger that a run was not published, and why."""
        refused = entry(request, warehouse=self.location, outcome="refused", rows=request.rows, reason=reason)
        with self._opened(UNCHANGED) as session:
            ledger.ensure_ledger(session)
            script = append_script(session.dataset, ledger.facts(refused))
            self._retried(LEDGER, lambda attempt: session.run(script, attempt=attempt))
        return refused

    def refresh_reporting(self, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:  # noqa: ARG002
        """Refuse: tables and views cannot be made in a transaction.

        Raises:
            PublishError: Always.
        """
        raise self._computes_nothing(table)

    def _computes_nothing(self, table: ReportingTable) -> PublishError:
        return PublishError(
            f"reporting table {table.name} of spec {table.spec}: {self.kind} makes no tables in a transaction. "
            "Leave out `reporting`, or publish to duckdb or postgresql."
        )

    def vacuum(self, table: str, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:  # noqa: ARG002
        """Drop nothing: of earlier publications only their run folders hold rows; staging tables expire."""
        return []

    def tables(self) -> list[str]:
        """Return the names of all tables and views."""
        with self._opened(UNCHANGED) as session:
            return session.tables()

    def read_table(self, name: str, *, limit: int | None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the first rows of a table or view, ordered by all columns from the left but arrays."""
        with self._opened(UNCHANGED) as session:
            columns = session.columns(name)
            if not columns:
                raise PublishError(f"warehouse {self.location} has no table or view {name!r}")
            places = [str(i) for i, kind in enumerate(columns.values(), start=1) if not kind.startswith("ARRAY")]
            order = f" ORDER BY {', '.join(places)}" if places else ""
            ends = "" if limit is None else f" LIMIT {int(limit)}"
            return list(columns), session.rows(f"SELECT * FROM {session.dataset.quoted(name)}{order}{ends}")  # noqa: S608

    def read_days(
        self, name: str, *, column: str, first: dt.date, last: dt.date
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the rows of a table of some days, in any order."""
        with self._opened(UNCHANGED) as session:
            columns = session.columns(name)
            if not columns:
                raise PublishError(f"warehouse {self.location} has no table or view {name!r}")
            wanted = f"{quoted(column)} BETWEEN DATE '{first}' AND DATE '{last}'"
            return list(columns), session.rows(f"SELECT * FROM {session.dataset.quoted(name)} WHERE {wanted}")  # noqa: S608

    @contextlib.contextmanager
    def _opened(self, consequence: str | None = None) -> Iterator[BigQuerySession]:
        told = {"consequence": consequence} if consequence else {}
        with opened(self.location, wait_s=self.wait_s, **told) as session:
            yield session

    def _retried(self, table: str, operation: Callable[[int], T]) -> T:
        attempt, waited_s, lost = 0, 0.0, CommitLost()
        for attempt, waited_s in Patience(self.wait_s).attempts(f"table {table}, which others write to"):  # noqa: B007
            try:
                return operation(attempt)
            except CommitLost as error:
                lost = error
        raise CommitConflict(table, attempts=attempt, waited_s=waited_s) from lost
