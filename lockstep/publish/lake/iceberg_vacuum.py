"""Which tags, snapshots and files of an Iceberg table nobody needs any more."""

import datetime as dt

from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update.snapshot import ExpireSnapshots, ManageSnapshots

from lockstep.publish.contract import Publication
from lockstep.publish.lake.engine import ENTRY
from lockstep.publish.lake.files import drop_files
from lockstep.storage.files import Location


def vacuum_table(table: Table, folder: Location, *, keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:
    """Drop tags of publications that are neither live nor kept, snapshots without a tag, and files of neither.

    Args:
        table: The table.
        folder: Folder of its data.
        keep: Run keys whose publications stay.
        before: Snapshots and files that are younger stay.
        dry_run: Only say what would be dropped.
    """
    tags = _dead_tags(table, keep=keep, before=before)
    staying = {ref.snapshot_id for name, ref in table.metadata.refs.items() if name not in tags}
    old = before.timestamp() * 1000
    dead = [s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id not in staying and s.timestamp_ms < old]
    files = _referenced(table, dead)
    if not dry_run and (tags or dead):
        change = table.transaction()
        manage = ManageSnapshots(change)
        for name in tags:
            manage.remove_tag(name)
        manage.commit()
        ExpireSnapshots(change).by_ids(dead).commit()
        change.commit_transaction()
    dropped = drop_files(folder, referenced=files, keep=keep, before=before, dry_run=dry_run)
    return [*(f"tag {name}" for name in tags), *(f"snapshot {number}" for number in dead), *dropped]


def _dead_tags(table: Table, *, keep: set[str], before: dt.datetime) -> list[str]:
    """Return the tags of publications that are neither live nor kept; other people's tags are none of ours."""
    newest: dict[str, str] = {}
    ours: dict[str, str] = {}
    for name, ref in table.metadata.refs.items():
        snapshot = table.metadata.snapshot_by_id(ref.snapshot_id)
        text = snapshot.summary.get(ENTRY) if snapshot is not None and snapshot.summary is not None else None
        if ref.snapshot_ref_type != SnapshotRefType.TAG or text is None or snapshot is None:
            continue
        partition = name.partition(".")[0]
        newest[partition] = max(name, newest.get(partition, name))
        entry = Publication.model_validate_json(text)
        if entry.run_key not in keep and entry.recorded_at < before:
            ours[name] = partition
    return sorted(name for name, partition in ours.items() if newest[partition] != name)


def _referenced(table: Table, dead: list[int]) -> set[str]:
    """Return the paths of all files that a snapshot which stays names."""
    manifests = {
        manifest.manifest_path: manifest
        for snapshot in table.metadata.snapshots
        if snapshot.snapshot_id not in dead
        for manifest in snapshot.manifests(table.io)
    }
    entries = (entry for manifest in manifests.values() for entry in manifest.fetch_manifest_entry(table.io))
    return {entry.data_file.file_path for entry in entries}
