"""One publication to BigQuery: look, decide, load, and commit on the very state that was looked at."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from lockstep.publish.bigquery import ledger
from lockstep.publish.bigquery.connection import quoted
from lockstep.publish.bigquery.script import Replacement, publish_script
from lockstep.publish.bigquery.session import BigQuerySession
from lockstep.publish.bigquery.types import columns_of, spelled
from lockstep.publish.contract import Publication, PublishRequest, entry
from lockstep.publish.evolution import ColumnChanges, plan_changes
from lockstep.publish.fencing import fence, is_live
from lockstep.publish.staged_files import Footer

NO_CHANGES = ColumnChanges(added={}, widened={})


def staged_columns(footers: Sequence[Footer]) -> dict[str, str]:
    """Return the columns of staged files with the types that a table for them has; empty without files."""
    return columns_of(footers[0].schema) if footers else {}


def table_changes(request: PublishRequest, existing: Mapping[str, str], columns: Mapping[str, str]) -> ColumnChanges:
    """Return how the table must change to take the rows; not at all when it is not there yet.

    Raises:
        PublishError: The rows do not fit the table.
    """
    if not existing or not columns:
        return NO_CHANGES
    return plan_changes(
        existing,
        spelled(columns, existing),
        widenings={},
        table=request.table,
        may_lack=request.outcome == "restored",
    )


@dataclass
class Attempts:
    """The attempts to publish one request; the files are loaded by the first that needs them.

    Attributes:
        session: Of the warehouse.
        request: What to publish.
        columns: Columns of the staged files.
        stack: Drops the staging tables when all is over.
        staged: Names of the staging tables.
        told: Changes that were made to the table's columns.
    """

    session: BigQuerySession
    request: PublishRequest
    columns: Mapping[str, str]
    stack: ExitStack
    staged: tuple[str, ...] = field(default=(), init=False)
    told: tuple[str, ...] = field(default=(), init=False)

    def publish(self, attempt: int) -> Publication:
        """Publish, or find that the run is live already.

        Raises:
            CommitLost: Another writer was first; nothing was written, and another attempt may do.
            StaleRun: A run that was planned later is live.
        """
        request, where = self.request, self.session.location
        seen = ledger.look(self.session, request.table, partition=request.partition)
        fence(seen.live, request)
        existing = self.session.columns(request.table)
        there = self._rows_there() if existing else None
        if seen.live is not None and is_live(seen.live, request, rows_there=there):
            since = seen.live.published_at
            done = entry(request, warehouse=where, outcome="noop", rows=seen.live.rows, since=since)
            return self._commit(done, seen.newest, attempt, replacement=None)
        self._reshape(existing)
        if self.columns and not self.staged:
            # The script counts the rows: were some lost or loaded twice, nothing would be published.
            self.staged = self.stack.enter_context(self.session.staging(request.files, self.columns))
        replacement = None
        if existing or self.columns:
            replacement = Replacement(
                table=request.table,
                partition_column=request.partition_column,
                there=there or 0,
                staged=self.staged,
                columns=list(self.columns),
                rows=request.rows,
            )
        facts = {"warehouse": where, "outcome": request.outcome, "rows": request.rows}
        done = entry(request, **facts, replaced=there or 0, changes=self.told)  # type: ignore[arg-type]
        return self._commit(done, seen.newest, attempt, replacement=replacement)

    def _commit(self, done: Publication, seen: int, attempt: int, *, replacement: Replacement | None) -> Publication:
        script = publish_script(self.session.dataset, ledger.facts(done), seen=seen, replacement=replacement)
        self.session.run(script, attempt=attempt)
        return done

    def _rows_there(self) -> int:
        table, column = self.session.dataset.quoted(self.request.table), quoted(self.request.partition_column)
        query = f"SELECT COUNT(*) FROM {table} WHERE {column} = @p_partition_date"  # noqa: S608 - quoted
        return int(self.session.rows(query, {"partition_date": self.request.partition})[0][0])

    def _reshape(self, existing: Mapping[str, str]) -> None:
        """Make the table, or add its new columns. A failure later leaves it empty, or with columns of nulls."""
        if not existing:
            if self.columns:
                self.session.create(self.request.table, self.columns, partition_column=self.request.partition_column)
            return
        changes = table_changes(self.request, existing, self.columns)
        told = changes.sentences(existing)
        for sentence in told:
            self.request.tell(sentence)
        if changes.added:
            self.session.add_columns(self.request.table, changes.added)
        self.told = (*self.told, *told)
