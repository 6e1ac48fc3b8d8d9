"""Delta tables as a warehouse: an app transaction per partition is its fence, the entry is in the commit's own words.

A commit names the application transaction (`txn` action of the Delta transaction log protocol) of its partition with
the token as version. Two commits of one partition from one state of the table conflict by it, also when neither
removes a file; commits of different partitions do not.
"""

import contextlib
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from lockstep.errors import PublishError
from lockstep.publish.contract import Publication, PublishRequest
from lockstep.publish.evolution import ColumnChanges, Widenings
from lockstep.publish.lake import delta_claims
from lockstep.publish.lake.delta_access import load_table, options, translated
from lockstep.publish.lake.delta_log import newest_first
from lockstep.publish.lake.delta_stats import add_action
from lockstep.publish.lake.engine import (
    CLAIMS,
    ENTRY,
    LEDGER,
    LEDGER_BEHIND,
    LEDGER_SCHEMA,
    CommitLost,
    ledger_entries,
    ledger_rows,
)
from lockstep.publish.lake.files import drop_files, place_files, table_folder
from lockstep.publish.staged_files import Footer
from lockstep.storage.files import Location, make_folder

# The log is the ledger: it is kept. Checkpoints keep reading it quick.
CONFIGURATION = {"delta.logRetentionDuration": "interval 36500 days"}
# What few functions of Arrow take, and what they do.
_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


@dataclass(frozen=True)
class Placed:
    """Files in the table's folder, as the log describes them, and their columns."""

    files: tuple[AddAction, ...]
    schema: pa.Schema | None


@dataclass(frozen=True)
class DeltaEngine:
    """Tables in the folders of one place; see `LakeEngine`.

    Attributes:
        location: The folder, on a disk or in a store.
    """

    location: str
    kind: str = "delta"
    # Readers of a Delta table need the optional feature "type widening" for files of a narrower type.
    widenings: ClassVar[Widenings] = {}

    def exists(self) -> bool:
        """Whether there is a folder; creates nothing."""
        return self._root.is_dir()

    @property
    def _root(self) -> Location:
        return table_folder(self.location, what="the Delta warehouse")

    def _folder(self, head: DeltaTable) -> Location:
        return self._root / PurePosixPath(head.table_uri).name

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> int:
        """Commit an empty version to the table of claims; its number is the token."""
        del now  # the commit has its own time
        with translated(self.location):
            claims = self._ensure(CLAIMS, delta_claims.SCHEMA)
            return delta_claims.add_claim(claims, self._root / CLAIMS, claim=(table, partition.isoformat(), run_key))

    def claimant(self, token: int) -> tuple[str, str, str] | None:
        """Return (table, partition, run key) that a token was given to."""
        with translated(self.location):
            return delta_claims.find_claim(self._root / CLAIMS, token)

    def head(self, table: str) -> DeltaTable | None:
        """Return the newest state of a table."""
        with translated(self.location):
            return load_table(self._root / table)

    def columns(self, head: DeltaTable) -> dict[str, str]:
        """Return the columns of a table with their types, in order."""
        return {field.name: str(field.type) for field in pa.schema(head.schema())}

    def types(self, schema: pa.Schema) -> dict[str, str]:
        """Return the columns of staged files with the types that a table for them has."""
        return {field.name: str(field.type) for field in _delta_schema(schema)}

    def live(self, head: DeltaTable, partition: dt.date) -> Publication | None:
        """Return the entry that the partition's application transaction names."""
        with translated(self.location):
            token = head.transaction_version(application(partition))
            if token is None:
                return None
            for commit in newest_first(head, self._folder(head)):
                entry = _entry(commit)
                if entry is not None and (entry.partition, entry.token) == (partition, token):
                    return entry
        raise PublishError(
            f"the log of Delta table {head.table_uri} names token {token} live for {partition} without its "
            "publication: log files were removed. Nothing was published and what was live stays. Restore the log."
        )

    def entries(self, head: DeltaTable) -> list[Publication]:
        """Return the entries of all commits that the log still has."""
        with translated(self.location):
            return [entry for commit in newest_first(head, self._folder(head)) if (entry := _entry(commit)) is not None]

    def rows(self, head: DeltaTable, request: PublishRequest) -> int:
        """Return how many rows the partition has, from the log."""
        with translated(self.location):
            actions = pa.table(head.get_add_actions(flatten=True))
        days = actions.column(f"partition.{request.partition_column}").to_pylist()
        counts = actions.column("num_records").to_pylist()
        return sum(count or 0 for day, count in zip(days, counts, strict=True) if str(day) == str(request.partition))

    def create(self, request: PublishRequest, schema: pa.Schema) -> None:
        """Create the table, empty, partitioned by its date column."""
        with translated(self.location):
            self._ensure(request.table, schema.remove_metadata(), partition_by=request.partition_column)

    def place(
        self, head: DeltaTable, request: PublishRequest, *, footers: Sequence[Footer], changes: ColumnChanges
    ) -> Placed:
        """Bring staged files into the table's folder and describe them for the log."""
        del head, changes  # the log takes the columns with the commit
        if not footers:
            return Placed(files=(), schema=None)
        folder = self._root / request.table
        names = place_files(folder, request, [footer.file for footer in footers])
        files = [add_action(f, PurePosixPath(n), request=request) for f, n in zip(footers, names, strict=True)]
        return Placed(files=tuple(files), schema=footers[0].schema)

    def commit(
        self,
        head: DeltaTable,
        request: PublishRequest,
        *,
        placed: Placed | None,
        changes: ColumnChanges,
        publication: Publication,
    ) -> None:
        """Commit one version; see `LakeEngine`."""
        properties = CommitProperties(
            custom_metadata={ENTRY: publication.model_dump_json()},
            app_transactions=[Transaction(application(request.partition), request.token)],
        )
        with translated(self.location, in_commit=True):
            schema = pa.schema(head.schema())
            for name in changes.added:
                if placed is not None and placed.schema is not None:
                    schema = schema.append(placed.schema.field(name))
            day = [(request.partition_column, "=", request.partition.isoformat())]
            head.create_write_transaction(
                [] if placed is None else list(placed.files),
                "append" if placed is None else "overwrite",
                schema,
                partition_by=[request.partition_column],
                partition_filters=None if placed is None else day,
                commit_properties=properties,
            )

    def record(self, entries: Sequence[Publication]) -> None:
        """Append entries to the ledger table."""
        with translated(self.location, consequence=LEDGER_BEHIND):
            write_deltalake(self._ensure(LEDGER, LEDGER_SCHEMA), ledger_rows(entries), mode="append")

    def recorded(self) -> list[Publication]:
        """Return the entries of the ledger table."""
        return [] if self.head(LEDGER) is None else ledger_entries(self.read(LEDGER))

    def vacuum(self, head: DeltaTable, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:
        """Drop files of publications that are neither live nor of a run in `keep`; the log stays."""
        referenced = set(head.file_uris())
        return drop_files(self._folder(head), referenced=referenced, keep=keep, before=before, dry_run=dry_run)

    def tables(self) -> list[str]:
        """Return the names of all tables of the folder."""
        return sorted(path.parent.name for path in self._root.glob("*/_delta_log") if path.parent.name != CLAIMS)

    def read(self, name: str) -> pa.Table:
        """Read a table whole."""
        with translated(self.location):
            table = DeltaTable(str(self._root / name), storage_options=options(self._root))
            query = QueryBuilder().register("t", table)
            rows = pa.table(query.execute("SELECT * FROM t").read_all())
        return rows.cast(pa.schema([field.with_type(_PLAIN.get(field.type, field.type)) for field in rows.schema]))

    def _ensure(self, table: str, schema: pa.Schema, *, partition_by: str | None = None) -> DeltaTable:
        """Return a table, created if it is not there; of two creators at once, one finds the other's."""
        path = self._root / table
        found = load_table(path)
        if found is None:
            self.exists()  # says so if there is no bucket
            make_folder(path)
            with contextlib.suppress(CommitFailedError):
                return DeltaTable.create(
                    str(path),
                    schema,
                    mode="ignore",
                    partition_by=partition_by,
                    configuration=CONFIGURATION,
                    storage_options=options(path),
                )
            found = load_table(path)
        if found is None:
            raise CommitLost
        return found


def application(partition: dt.date) -> str:
    """Return the name of a partition's application transaction."""
    return f"lockstep/{partition}"


def _entry(commit: dict[str, Any]) -> Publication | None:
    text = commit.get(ENTRY)
    return Publication.model_validate_json(text) if text else None


def _delta_schema(schema: pa.Schema) -> pa.Schema:
    from deltalake import Schema

    return pa.schema(Schema.from_arrow(schema.remove_metadata()))
