"""A warehouse of Iceberg or Delta tables: optimistic commits whose log is the ledger."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from lockstep.errors import CommitConflict, PublishError
from lockstep.publish.contract import Publication, PublishRequest, ReportingTable, entry
from lockstep.publish.evolution import ColumnChanges, plan_changes
from lockstep.publish.fencing import check_name, fence, is_live, no_claim
from lockstep.publish.lake.engine import (
    LEDGER,
    LINEAGE,
    RESERVED,
    CommitLost,
    LakeEngine,
    ledger_rows,
    merged,
)
from lockstep.publish.lineage import lineage_rows
from lockstep.publish.patience import Patience
from lockstep.publish.staged_files import Footer, read_footers, verify_files
from lockstep.run.plan import Claim

NO_CHANGES = ColumnChanges(added={}, widened={})
T = TypeVar("T")


@dataclass(frozen=True)
class LakeWarehouse:
    """See `Warehouse` for the contract.

    Attributes:
        engine: Reads and commits.
        wait_s: How long to go on after lost races, in seconds.
    """

    engine: LakeEngine
    wait_s: float

    @property
    def kind(self) -> str:
        """As in the spec's `publish.warehouse`."""
        return self.engine.kind

    @property
    def location(self) -> str:
        """Where it is, without secrets."""
        return self.engine.location

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> Claim:
        """Hand out a fencing token, above all that were handed out before."""
        token = self._retried(table, lambda: self.engine.claim(table, partition=partition, run_key=run_key, now=now))
        live = self.live(table, partition)
        already = live is not None and live.run_key == run_key
        return Claim(token=token, table=table, claimed_at=now, already_live=already)

    def live(self, table: str, partition: dt.date) -> Publication | None:
        """Return the entry of the live rows of a partition, or `None`. Writes nothing."""
        head = self.engine.head(table) if self.engine.exists() else None
        return None if head is None else self.engine.live(head, partition)

    def history(self, table: str | None = None) -> list[Publication]:
        """Return the entries of the ledger, oldest first: what the logs hold and what the ledger table holds."""
        if not self.engine.exists():
            return []
        names = [name for name in self.engine.tables() if name not in RESERVED] if table is None else [table]
        heads = [head for name in names if (head := self.engine.head(name)) is not None]
        recorded = [one for one in self.engine.recorded() if table is None or one.table == table]
        return merged(recorded, *(self.engine.entries(head) for head in heads))

    def prepare(self, request: PublishRequest) -> tuple[str, ...]:
        """Check names, files and columns, and bring the files into the table's folder; see `Warehouse`."""
        check_name(request, RESERVED)
        verify_files(request)
        footers = read_footers(request)
        head = self.engine.head(request.table) if self.engine.exists() else None
        if head is None:
            return ()
        changes = self._changes(head, request, footers)
        self.engine.place(head, request, footers=footers, changes=changes)
        return changes.sentences(self.engine.columns(head))

    def publish(self, request: PublishRequest) -> Publication:
        """Make a run's rows the partition, in one commit; see `Warehouse`."""
        check_name(request, RESERVED)
        verify_files(request)
        footers = read_footers(request)
        if self.engine.claimant(request.token) != (request.table, request.partition.isoformat(), request.run_key):
            raise no_claim(request)
        if self.engine.head(request.table) is None:
            if not footers:
                return self._record(entry(request, warehouse=self.location, outcome=request.outcome, rows=0))
            self.engine.create(request, footers[0].schema)
        done = self._retried(request.table, lambda: self._attempt(request, footers))
        return self._record(done)

    def _attempt(self, request: PublishRequest, footers: Sequence[Footer]) -> Publication:
        """Decide on the newest state of the table and commit on that very state, or raise `CommitLost`."""
        head = self.engine.head(request.table)
        live = self.engine.live(head, request.partition)
        fence(live, request)
        there = self.engine.rows(head, request)
        facts: dict[str, Any] = {"warehouse": self.location}
        if live is not None and is_live(live, request, rows_there=there):
            done = entry(request, **facts, outcome="noop", rows=live.rows, since=live.published_at)
            self.engine.commit(head, request, placed=None, changes=NO_CHANGES, publication=done)
            return done
        changes = self._changes(head, request, footers)
        told = changes.sentences(self.engine.columns(head))
        for sentence in told:
            request.tell(sentence)
        placed = self.engine.place(head, request, footers=footers, changes=changes)
        done = entry(request, **facts, outcome=request.outcome, rows=request.rows, replaced=there, changes=told)
        self.engine.commit(head, request, placed=placed, changes=changes, publication=done)
        return done

    def _changes(self, head: Any, request: PublishRequest, footers: Sequence[Footer]) -> ColumnChanges:
        if not footers:
            return NO_CHANGES
        return plan_changes(
            self.engine.columns(head),
            self.engine.types(footers[0].schema),
            widenings=self.engine.widenings,
            table=request.table,
            may_lack=request.outcome == "restored",
        )

    def refuse(self, request: PublishRequest, reason: str) -> Publication:
        """Record in the ledger that a run was not published, and why."""
        refused = entry(request, warehouse=self.location, outcome="refused", rows=request.rows, reason=reason)
        return self._record(refused)

    def _record(self, publication: Publication) -> Publication:
        self._retried(LEDGER, lambda: self.engine.record([publication]))
        return publication

    def _retried(self, table: str, operation: Callable[[], T]) -> T:
        attempt, waited_s, lost = 0, 0.0, CommitLost()
        for attempt, waited_s in Patience(self.wait_s).attempts(f"table {table}, which others write to"):  # noqa: B007
            try:
                return operation()
            except CommitLost as error:
                lost = error
        raise CommitConflict(table, attempts=attempt, waited_s=waited_s) from lost

    def refresh_reporting(self, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:  # noqa: ARG002
        """Refuse: a table format computes no queries.

        Raises:
            PublishError: Always.
        """
        raise PublishError(
            f"reporting table {table.name} of spec {table.spec}: {self.kind} tables have no engine that computes it. "
            "Leave out `reporting`, or publish to duckdb or postgresql."
        )

    def vacuum(self, table: str, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:
        """Drop files and history of publications that are neither live nor in `keep`; see `Warehouse`."""
        head = self.engine.head(table) if self.engine.exists() else None
        if head is None:
            return []
        if not dry_run:
            recorded = {one.model_dump_json() for one in self.engine.recorded()}
            missing = [one for one in self.engine.entries(head) if one.model_dump_json() not in recorded]
            if missing:
                self._retried(LEDGER, lambda: self.engine.record(missing))
        bounds: dict[str, Any] = {"keep": keep, "before": before, "dry_run": dry_run}
        return self._retried(table, lambda: self.engine.vacuum(self.engine.head(table), **bounds))

    def tables(self) -> list[str]:
        """Return the names of all tables; the ledger and the lineage are among them once something was published."""
        if not self.engine.exists():
            return []
        names = set(self.engine.tables())
        return sorted({*names, LINEAGE} if LEDGER in names else names)

    def read_table(self, name: str, *, limit: int | None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the first rows of a table, ordered by all columns from the left."""
        rows = self._rows(name)
        plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
        ordered = rows.sort_by([(column, "ascending") for column in plain]) if plain else rows
        shown = ordered if limit is None else ordered.slice(0, limit)
        return rows.column_names, [tuple(row.values()) for row in shown.to_pylist()]

    def read_days(
        self, name: str, *, column: str, first: dt.date, last: dt.date
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the rows of a table of some days, in any order."""
        rows = self._rows(name)
        wanted = rows.filter((pc.field(column) >= pa.scalar(first)) & (pc.field(column) <= pa.scalar(last)))
        return rows.column_names, [tuple(row.values()) for row in wanted.to_pylist()]

    def _rows(self, name: str) -> pa.Table:
        if name == LINEAGE:
            return lineage_rows(self.history())
        if name == LEDGER:
            return ledger_rows(self.history()).drop_columns(["entry"])
        if not self.engine.exists() or name not in self.engine.tables():
            raise PublishError(f"warehouse {self.location} has no table {name!r}")
        return self.engine.read(name)
