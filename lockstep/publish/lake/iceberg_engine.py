"""Iceberg tables as a warehouse: one snapshot and one tag a publication, the entry in the snapshot's summary.

A commit carries the requirement that the table's main branch still ends in the snapshot that the decision was made
on (`assert-ref-snapshot-id` of the Iceberg catalog specification), so that what was committed meanwhile is never lost.
"""

import contextlib
import datetime as dt
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.expressions import EqualTo, Reference
from pyiceberg.expressions.literals import literal
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update.snapshot import ManageSnapshots
from pyiceberg.transforms import IdentityTransform

from lockstep.publish.contract import Publication, PublishRequest
from lockstep.publish.evolution import ColumnChanges, Widenings
from lockstep.publish.lake.engine import (
    CLAIMS,
    ENTRY,
    LEDGER,
    LEDGER_BEHIND,
    LEDGER_SCHEMA,
    ledger_entries,
    ledger_rows,
)
from lockstep.publish.lake.files import AT_ONCE, place_files, table_folder, url
from lockstep.publish.lake.iceberg_catalog import embedded_catalog, named_catalog, translated
from lockstep.publish.lake.iceberg_claims import add_claim, find_claim
from lockstep.publish.lake.iceberg_vacuum import vacuum_table
from lockstep.publish.staged_files import Footer

NAMESPACE = "lockstep"
CATALOG = "catalog:"
WIDENINGS: Widenings = {"int": {"long"}, "float": {"double"}}
# Conflicts are ours to look at: a retry of the library would not ask whether a newer run was published meanwhile.
TABLE_PROPERTIES = {"commit.retry.num-retries": "0", "format-version": "2"}


@dataclass(frozen=True)
class Placed:
    """Files in the table's folder, as manifests describe them, and their columns."""

    files: tuple[DataFile, ...]
    schema: Schema


@dataclass(frozen=True)
class IcebergEngine:
    """Tables of one Iceberg catalog and namespace; see `LakeEngine`.

    Attributes:
        location: A folder, which gets a catalog of its own (SQLite), or `catalog:NAME` or `catalog:NAME/NAMESPACE` for
            one that PyIceberg's configuration knows.
    """

    location: str
    kind: str = "iceberg"
    widenings: ClassVar[Widenings] = WIDENINGS

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog, opened once."""
        with translated(self.location):
            if self.location.startswith(CATALOG):
                return named_catalog(self.location.removeprefix(CATALOG).partition("/")[0])
            return embedded_catalog(Path(self.location))

    @property
    def namespace(self) -> str:
        """Namespace of all tables."""
        named = self.location.partition("/")[2] if self.location.startswith(CATALOG) else ""
        return named or NAMESPACE

    def exists(self) -> bool:
        """Whether there is a catalog; creates nothing."""
        return self.location.startswith(CATALOG) or (Path(self.location) / "catalog.db").exists()

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> int:
        """Commit an empty snapshot to the table of claims; its sequence number is the token."""
        del now  # the snapshot has its own time
        with translated(self.location):
            self._ensure_namespace()
            return add_claim(self.catalog, self.namespace, claim=(table, partition.isoformat(), run_key))

    def claimant(self, token: int) -> tuple[str, str, str] | None:
        """Return (table, partition, run key) that a token was given to."""
        with translated(self.location):
            return find_claim(self.catalog, self.namespace, token)

    def head(self, table: str) -> Table | None:
        """Return the newest state of a table."""
        with translated(self.location):
            try:
                return self.catalog.load_table(f"{self.namespace}.{table}")
            except (NoSuchTableError, NoSuchNamespaceError):
                return None

    def columns(self, head: Table) -> dict[str, str]:
        """Return the columns of a table with their types, in order."""
        return {field.name: str(field.field_type) for field in head.schema().fields}

    def types(self, schema: pa.Schema) -> dict[str, str]:
        """Return the columns of staged files with the types that a table for them has."""
        return {field.name: str(field.field_type) for field in _converted(schema).fields}

    def live(self, head: Table, partition: dt.date) -> Publication | None:
        """Return the entry that the newest tag of a partition points to."""
        tags = [name for name in head.metadata.refs if name.startswith(f"{partition}.")]
        return _entry(head, head.metadata.refs[max(tags)].snapshot_id) if tags else None

    def entries(self, head: Table) -> list[Publication]:
        """Return the entries of all snapshots that the table still has."""
        found = [_entry(head, snapshot.snapshot_id) for snapshot in head.metadata.snapshots]
        return [one for one in found if one is not None]

    def rows(self, head: Table, request: PublishRequest) -> int:
        """Return how many rows the partition has, from the manifests."""
        with translated(self.location):
            return sum(file.record_count for file in _files(head, request))

    def create(self, request: PublishRequest, schema: pa.Schema) -> None:
        """Create the table, empty, partitioned by its date column."""
        converted = _converted(schema)
        field = converted.find_field(request.partition_column)
        spec = PartitionSpec(PartitionField(field.field_id, 1000, IdentityTransform(), request.partition_column))
        # Staged files name their columns and know no field ids.
        mapping = {"schema.name-mapping.default": converted.name_mapping.model_dump_json()}
        with translated(self.location):
            self._ensure_namespace()
            try:
                self.catalog.create_table(
                    f"{self.namespace}.{request.table}",
                    converted,
                    partition_spec=spec,
                    properties={**TABLE_PROPERTIES, **mapping},
                )
            except TableAlreadyExistsError:
                return

    def place(
        self, head: Table, request: PublishRequest, *, footers: Sequence[Footer], changes: ColumnChanges
    ) -> Placed:
        """Bring staged files into the table's folder and read what manifests say of them."""
        if not footers:
            return Placed(files=(), schema=Schema())
        folder = table_folder(head.location(), what=f"Iceberg table {request.table}") / "data"
        paths = [folder / name for name in place_files(folder, request, [footer.file for footer in footers])]
        placed, change = Placed(files=(), schema=_converted(footers[0].schema)), head.transaction()
        with translated(self.location):
            _evolve(change, placed.schema, changes)
            # Staged files have no statistics of the stamps, which are the same in every row; a line for each is noise.
            logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)
            read = partial(parquet_file_to_data_file, head.io, change.table_metadata)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                files = list(pool.map(read, map(url, paths)))
        return replace(placed, files=tuple(files))

    def commit(
        self,
        head: Table,
        request: PublishRequest,
        *,
        placed: Placed | None,
        changes: ColumnChanges,
        publication: Publication,
    ) -> None:
        """Commit one snapshot, its tag and the changes of columns; see `LakeEngine`."""
        with translated(self.location, in_commit=True):
            change = head.transaction()
            if head.properties.get("commit.retry.num-retries") != "0":
                change.set_properties(TABLE_PROPERTIES)
            if placed is not None:
                _evolve(change, placed.schema, changes)
            update = change.update_snapshot(snapshot_properties={ENTRY: publication.model_dump_json()})
            with update.fast_append() if placed is None else update.overwrite() as snapshot:
                if placed is not None:
                    _replace(snapshot, _files(head, request), placed.files)
            ManageSnapshots(change).create_tag(snapshot.snapshot_id, tag(request)).commit()
            change.commit_transaction()

    def record(self, entries: Sequence[Publication]) -> None:
        """Append entries to the ledger table."""
        with translated(self.location, consequence=LEDGER_BEHIND):
            self._ensure_namespace()
            name = f"{self.namespace}.{LEDGER}"
            ledger = self.head(LEDGER) or self.catalog.create_table_if_not_exists(
                name, LEDGER_SCHEMA, properties=TABLE_PROPERTIES
            )
            ledger.append(ledger_rows(entries))

    def recorded(self) -> list[Publication]:
        """Return the entries of the ledger table."""
        with translated(self.location):
            ledger = self.head(LEDGER)
            return [] if ledger is None else ledger_entries(ledger.scan(selected_fields=("entry",)).to_arrow())

    def vacuum(self, head: Table, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:
        """Drop tags, snapshots and files of publications that are neither live nor of a run in `keep`."""
        folder = table_folder(head.location(), what=f"Iceberg table {head.name()[-1]}") / "data"
        with translated(self.location):
            return vacuum_table(head, folder, keep=keep, before=before, dry_run=dry_run)

    def tables(self) -> list[str]:
        """Return the names of all tables of the namespace."""
        with translated(self.location):
            try:
                found = self.catalog.list_tables(self.namespace)
            except NoSuchNamespaceError:
                return []
        return sorted(name[-1] for name in found if name[-1] != CLAIMS)

    def read(self, name: str) -> pa.Table:
        """Read a table whole."""
        with translated(self.location):
            return self.catalog.load_table(f"{self.namespace}.{name}").scan().to_arrow()

    def _ensure_namespace(self) -> None:
        with contextlib.suppress(NamespaceAlreadyExistsError):
            self.catalog.create_namespace_if_not_exists(self.namespace)


def tag(request: PublishRequest) -> str:
    """Return the name of a publication's tag; those of a partition sort by token."""
    return f"{request.partition}.{request.token:018d}"


def _replace(snapshot: Any, old: Sequence[DataFile], new: Sequence[DataFile]) -> None:
    """Replace files; one that is in both stays."""
    there, coming = {file.file_path: file for file in old}, {file.file_path: file for file in new}
    for path in there.keys() - coming.keys():
        snapshot.delete_data_file(there[path])
    for path in sorted(coming.keys() - there.keys()):
        snapshot.append_data_file(coming[path])


def _files(head: Table, request: PublishRequest) -> list[DataFile]:
    only = EqualTo(term=Reference(request.partition_column), value=literal(request.partition.isoformat()))
    return [task.file for task in head.scan(row_filter=only).plan_files()]


def _entry(head: Table, snapshot_id: int) -> Publication | None:
    snapshot = head.metadata.snapshot_by_id(snapshot_id)
    text = snapshot.summary.get(ENTRY) if snapshot is not None and snapshot.summary is not None else None
    return Publication.model_validate_json(text) if text else None


def _evolve(change: Transaction, schema: Schema, changes: ColumnChanges) -> None:
    if changes.added or changes.widened:
        with change.update_schema() as update:
            for name in changes.added:
                update.add_column(name, schema.find_type(name))
            for name in changes.widened:
                update.update_column(name, schema.find_type(name))


def _converted(schema: pa.Schema) -> Schema:
    return assign_fresh_schema_ids(Catalog._convert_schema_if_needed(schema.remove_metadata()))  # noqa: SLF001 - no public way
