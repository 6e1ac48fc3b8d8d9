"""What a warehouse does, whichever it is."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from lockstep.run.plan import Claim, Record

Outcome = Literal["published", "noop"]


@dataclass(frozen=True)
class StagedFile:
    """One file to publish, with what the manifest says of it."""

    path: Path
    size_bytes: int
    sha256: str


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
        outcomes_columns: Columns (name to SQL type) that `outcomes` has even when a day is not there.
    """

    name: str
    query: str
    origin: str
    spec: str
    scores: str
    partition_column: str
    outcomes_folder: Path
    outcomes_partition: str
    outcomes_columns: Mapping[str, str] = field(default_factory=dict)


class Publication(Record):
    """What was made live (`publication.json`).

    Attributes:
        outcome: `published`, or `noop` when this very run was live already.
        rows: Rows that are live for the partition.
        replaced_rows: Rows that were deleted for them.
        published_at: When these rows went live; `recorded_at` is when this entry was made.
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


class Warehouse(Protocol):
    """A place where partitions go live, with a ledger of what made them."""

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> Claim:
        """Hand out the next fencing token of a partition."""

    def live_run_key(self, table: str, partition: dt.date) -> str | None:
        """Return the run whose rows are live, or `None`. Writes nothing."""

    def publish(self, request: PublishRequest) -> Publication:
        """Make a run's rows the partition, in one transaction. Repeating it changes nothing."""

    def refresh_reporting(self, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:
        """Recompute partitions of a reporting table (`None`: all that are live); return the rows written."""

    def tables(self) -> list[str]:
        """Return the names of all tables and views."""

    def read_table(self, name: str, *, limit: int | None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the first rows of a table or view."""
