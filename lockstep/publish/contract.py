"""What a warehouse does, whichever it is."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from lockstep.run.plan import Claim, Record
from lockstep.storage.files import Location, found, local_copy
from lockstep.storage.objects import ObjectPath

Outcome = Literal["published", "noop", "restored", "refused"]


def _say_nothing(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class StagedFile:
    """One file to publish, with what the manifest says of it.

    Attributes:
        path: On this machine.
        origin: Where it lies in a store, if `path` is a copy of that.
    """

    path: Path
    size_bytes: int
    sha256: str
    origin: ObjectPath | None = None


@dataclass(frozen=True)
class ReportingTable:
    """A reporting table: the rows that a query gives for each partition of the published table.

    Attributes:
        name: Its name in the warehouse.
        query: A SELECT over the views `scores` and `outcomes`, both holding one partition.
        origin: The query's file, for messages.
        spec: The spec that owns the table.
        scores: The published table.
        partition_column: Date column of the published table and of the query's result.
        outcomes_folder: Hive-partitioned Parquet folder of the source; its partition column is `outcomes_partition`.
        outcomes_columns: Columns (name to Arrow type as text) that `outcomes` has even when a day is not there.
    """

    name: str
    query: str
    origin: str
    spec: str
    scores: str
    partition_column: str
    outcomes_folder: Location
    outcomes_partition: str
    outcomes_columns: Mapping[str, str] = field(default_factory=dict)

    def outcome_files(self, day: dt.date) -> list[Path]:
        """Return the files of the source that hold a day, on this machine."""
        folder = self.outcomes_folder / f"{self.outcomes_partition}={day}"
        return [local_copy(file) for file in found(folder, "*.parquet")]


@dataclass(frozen=True)
class PublishRequest:
    """All that a publication needs.

    Attributes:
        table: Table to publish to.
        partition_column: Its date column; `partition` is the value that is replaced.
        token: Fencing token of the run's claim.
        files: Staged files, which together are the whole partition.
        rows: Rows in these files.
        now: Time that the ledger records.
        outcome: What the ledger calls it: `published`, or `restored` when an earlier run is made live again. Rows of
            an earlier run may lack columns that the table got since; these become null.
        actor: Who asked for it.
        checks: What the audit found, in a few words.
        reason: Why an earlier run was restored.
        reporting: Reporting tables to refresh in the same transaction.
        tell: Told of every change of the table's columns, before it is made.
    """

    table: str
    partition_column: str
    partition: dt.date
    run_key: str
    token: int
    spec: str
    spec_hash: str
    model_name: str
    model_version: int
    model_digest: str
    code_version: str
    run_folder: str
    files: Sequence[StagedFile]
    rows: int
    now: dt.datetime
    outcome: Literal["published", "restored"] = "published"
    actor: str = ""
    checks: str = ""
    reason: str = ""
    reporting: Sequence[ReportingTable] = ()
    tell: Callable[[str], None] = _say_nothing


class Publication(Record):
    """One entry of the ledger; that of a run's publication is kept in its folder (`publication.json`).

    Attributes:
        outcome: `published`; `noop` when this very run was live already; `restored` when a rollback made an earlier
            run live again; `refused` when nothing was changed.
        rows: Rows that are live for the partition, or that were refused.
        replaced_rows: Rows that were there before them.
        published_at: When these rows went live; `recorded_at` is when this entry was made.
        actor: Who asked for it.
        checks: What the audit found, in a few words.
        reason: Why it was refused or restored.
        changes: Changes of the table's columns that came with it, one sentence each.
        reporting: Rows written to each reporting table.
    """

    warehouse: str
    table: str
    partition: dt.date
    token: int
    run_key: str
    spec: str
    spec_hash: str
    model_name: str
    model_version: int
    model_digest: str
    rows: int
    replaced_rows: int
    outcome: Outcome
    published_at: dt.datetime
    recorded_at: dt.datetime
    run_folder: str
    code_version: str
    actor: str = ""
    checks: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()
    reporting: dict[str, int] = {}


class Warehouse(Protocol):
    """A place where partitions go live, with a ledger of what made them.

    Every warehouse keeps these promises, which one test suite checks (`tests/integration/publish`):

    - a partition is replaced whole, together with its ledger entry, or not at all;
    - readers see the old partition or the new one, at no time a mixture or a hole, and are not kept waiting;
    - publishing the run that is live already changes no row;
    - a run that was planned before the one that is live is refused.
    """

    @property
    def kind(self) -> str:
        """As in the spec's `publish.warehouse`."""

    @property
    def location(self) -> str:
        """Where it is, without secrets."""

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> Claim:
        """Hand out a fencing token, above all that were handed out for the partition before."""

    def live(self, table: str, partition: dt.date) -> Publication | None:
        """Return the entry of the live rows of a partition, or `None`. Writes nothing."""

    def history(self, table: str | None = None) -> list[Publication]:
        """Return the entries of the ledger, oldest first. Writes nothing."""

    def prepare(self, request: PublishRequest) -> tuple[str, ...]:
        """Check the files and the table's columns, and bring what can be brought in place before the commit.

        Nothing that a reader can see changes. Repeating it is safe.

        Returns:
            The changes that the publication will make to the table's columns, one sentence each.

        Raises:
            StagedFileChanged: A file is not what was scored.
            PublishError: The rows do not fit the table or the partition.
        """

    def publish(self, request: PublishRequest) -> Publication:
        """Make a run's rows the partition, in one step. Repeating it changes nothing.

        Raises:
            StaleRun: A run that was planned later is live.
            StagedFileChanged: A file is not what was scored.
            WarehouseBusy: Other writers were in the way all the time.
            PublishError: The rows do not fit, or the warehouse failed.
        """

    def refuse(self, request: PublishRequest, reason: str) -> Publication:
        """Record in the ledger that a run was not published, and why."""

    def refresh_reporting(self, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:
        """Recompute partitions of a reporting table (`None`: all that are live); return the rows written."""

    def vacuum(self, table: str, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:
        """Drop what the warehouse itself keeps of publications that are neither live nor to be kept.

        Args:
            table: Published table.
            keep: Run keys whose publications stay.
            before: Nothing that was made or touched later is dropped: it may be of a publication that is going on.
            dry_run: Only say what would be dropped.

        Returns:
            What was dropped, or would be, one text each.
        """

    def tables(self) -> list[str]:
        """Return the names of all tables and views."""

    def read_table(self, name: str, *, limit: int | None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the first rows of a table or view, ordered by all columns from the left."""

    def read_days(
        self, name: str, *, column: str, first: dt.date, last: dt.date
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the rows of a table whose date `column` lies from `first` to `last`, in any order."""


def entry(
    request: PublishRequest,
    *,
    warehouse: str,
    outcome: Outcome,
    rows: int,
    replaced: int = 0,
    since: dt.datetime | None = None,
    changes: Sequence[str] = (),
    reason: str | None = None,
) -> Publication:
    """Describe what became of a request as an entry of the ledger.

    Args:
        request: What was asked for.
        warehouse: Location of the warehouse.
        outcome: What became of it.
        rows: Rows that are live for the partition.
        replaced: Rows that were there before.
        since: When the rows went live; none: now.
        changes: Changes of the table's columns.
        reason: Why it was refused; none: the request's own reason.
    """
    shared = {name: getattr(request, name) for name in Publication.model_fields if hasattr(request, name)}
    own = {
        "warehouse": warehouse,
        "outcome": outcome,
        "rows": rows,
        "replaced_rows": replaced,
        "published_at": since or request.now,
        "recorded_at": request.now,
        "changes": tuple(changes),
        "reporting": {},
        "reason": request.reason if reason is None else reason,
    }
    return Publication(**{**shared, **own})


def live_entry(entries: Sequence[Publication]) -> Publication | None:
    """Return the live entry among those of one partition, oldest first: the one with the highest token.

    Refusals do not count. A no-op counts, so that a run that was planned again, and found itself live, shuts out what
    was planned before it.
    """
    found: Publication | None = None
    for candidate in entries:
        if candidate.outcome != "refused" and (found is None or candidate.token >= found.token):
            found = candidate
    return found
