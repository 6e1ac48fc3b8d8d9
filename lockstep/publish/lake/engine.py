"""What the table formats share: tables whose log holds the ledger, committed to optimistically."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from lockstep.errors import CommitUncertain, PublishError
from lockstep.publish.contract import Publication, PublishRequest
from lockstep.publish.evolution import ColumnChanges, Widenings
from lockstep.publish.staged_files import Footer

LEDGER, CLAIMS, LINEAGE = "lockstep_ledger", "lockstep_claims", "model_lineage"
RESERVED = (LEDGER, CLAIMS, LINEAGE)
# Key of the entry, as JSON, in what a commit says of itself.
ENTRY = "lockstep.entry"
UNPUBLISHED = "Nothing was published and what was live stays."
# A commit carries its entry itself; `history` finds it there, and `vacuum` adds it to the ledger table.
LEDGER_BEHIND = "What is live is whole; only the ledger table was not told. Run the same command again."


class CommitLost(Exception):
    """Another writer committed first; nothing was written. Look again and try again."""


def failed(what: str, location: str, text: str, *, in_commit: bool, consequence: str) -> PublishError:
    """Return the error for what a library says went wrong.

    Args:
        what: The warehouse, for the message.
        location: Where it is.
        text: What the library said; its first line is shown.
        in_commit: Whether it was committing to a published table, so that nobody knows whether it did.
        consequence: What that means otherwise, and what to do.
    """
    reason = (text.strip().splitlines() or ["no reason given"])[0].rstrip(".")
    if in_commit:
        return CommitUncertain(location, reason=reason)
    return PublishError(f"{what} {location} failed: {reason}. {consequence}")


class LakeEngine(Protocol):
    """Reads and commits to tables of one format. A `head` is the state of a table at one moment."""

    @property
    def kind(self) -> str:
        """As in the spec's `publish.warehouse`."""

    @property
    def widenings(self) -> Widenings:
        """Which types of columns may become which."""

    @property
    def location(self) -> str:
        """Where it is, without secrets."""

    def exists(self) -> bool:
        """Whether there is anything to read from; creates nothing."""

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> int:
        """Commit a claim to the table of claims; its place in the log is the token, so no token is given out twice.

        Raises:
            CommitLost: Another writer committed first.
        """

    def claimant(self, token: int) -> tuple[str, str, str] | None:
        """Return (table, partition, run key) that a token was given to; `None` when there is no such claim."""

    def head(self, table: str) -> Any | None:
        """Return the newest state of a table, `None` when there is none."""

    def columns(self, head: Any) -> dict[str, str]:
        """Return the columns of a table with their types, in order."""

    def types(self, schema: pa.Schema) -> dict[str, str]:
        """Return the columns of staged files with the types that a table for them has."""

    def live(self, head: Any, partition: dt.date) -> Publication | None:
        """Return the entry of the live rows of a partition."""

    def entries(self, head: Any) -> list[Publication]:
        """Return the entries that the log of a table still holds."""

    def rows(self, head: Any, request: PublishRequest) -> int:
        """Return how many rows the partition has, from the metadata."""

    def create(self, request: PublishRequest, schema: pa.Schema) -> None:
        """Create the table, empty; another writer may have done it meanwhile."""

    def place(self, head: Any, request: PublishRequest, *, footers: Sequence[Footer], changes: ColumnChanges) -> Any:
        """Bring staged files into the table's folder, unseen by readers, and describe them for `commit`."""

    def commit(
        self,
        head: Any,
        request: PublishRequest,
        *,
        placed: Any | None,
        changes: ColumnChanges,
        publication: Publication,
    ) -> None:
        """Replace the partition and write the entry in one commit, provided that nothing else was committed to it.

        Args:
            head: The state that the decision to publish was made on.
            request: What to publish.
            placed: What `place` returned; none leaves the rows as they are (a no-op).
            changes: Changes of the table's columns.
            publication: The entry.

        Raises:
            CommitLost: The table is no longer as in `head`.
        """

    def record(self, entries: Sequence[Publication]) -> None:
        """Append entries to the ledger table.

        Raises:
            CommitLost: Another writer committed first.
        """

    def recorded(self) -> list[Publication]:
        """Return the entries of the ledger table."""

    def vacuum(self, head: Any, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:
        """Drop files and history of publications that are neither live nor of a run in `keep`."""

    def tables(self) -> list[str]:
        """Return the names of all tables."""

    def read(self, name: str) -> pa.Table:
        """Read a table whole."""


LEDGER_SCHEMA = pa.schema(
    [
        ("entry", pa.string()),
        ("table_name", pa.string()),
        ("partition_date", pa.date32()),
        ("token", pa.int64()),
        ("run_key", pa.string()),
        ("outcome", pa.string()),
        ("spec", pa.string()),
        ("model_name", pa.string()),
        ("model_version", pa.int64()),
        ("model_digest", pa.string()),
        ("rows", pa.int64()),
        ("replaced_rows", pa.int64()),
        ("published_at", pa.timestamp("us", "UTC")),
        ("actor", pa.string()),
        ("checks", pa.string()),
        ("reason", pa.string()),
    ]
)
_RENAMED: Mapping[str, str] = {"table_name": "table", "partition_date": "partition", "published_at": "recorded_at"}


def ledger_rows(entries: Sequence[Publication]) -> pa.Table:
    """Return entries as rows of the ledger table; `entry` holds each whole, as JSON."""
    rows = [
        {
            name: one.model_dump_json() if name == "entry" else getattr(one, _RENAMED.get(name, name))
            for name in LEDGER_SCHEMA.names
        }
        for one in entries
    ]
    return pa.Table.from_pylist(rows, LEDGER_SCHEMA)


def ledger_entries(rows: pa.Table) -> list[Publication]:
    """Return the entries that rows of the ledger table hold."""
    return [Publication.model_validate_json(text) for text in rows.column("entry").to_pylist()]


def merged(*sources: Sequence[Publication]) -> list[Publication]:
    """Merge entries of several sources, each once, oldest first."""
    found = {
        (one.table, one.partition, one.token, one.outcome, one.recorded_at): one for source in sources for one in source
    }
    return sorted(found.values(), key=lambda one: (one.recorded_at, one.token))
