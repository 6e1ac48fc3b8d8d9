"""Retention: which run folders nobody needs any more."""

import contextlib
import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.errors import RunFolderUnusable, StepOutOfOrder
from lockstep.publish.contract import Publication, Warehouse
from lockstep.publish.lineage import MADE, by_partition, live_entries
from lockstep.quality import performance_table
from lockstep.quality.drift_table import table_name
from lockstep.run.folder import PLAN, RunFolder
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location
from lockstep.storage.files import found as found_below
from lockstep.storage.objects import ObjectPath

DELETING = ".deleting"


@dataclass(frozen=True)
class Dropped:
    """What was deleted, or would be.

    Attributes:
        runs: Run folders.
        size_bytes: What they took.
        warehouse: What the warehouse dropped, one text each.
        kept: Run folders that stay.
    """

    runs: tuple[Location, ...]
    size_bytes: int
    warehouse: tuple[str, ...]
    kept: int


def vacuum(warehouse: Warehouse, spec: ScoringSpec, runs_root: Location, *, now: dt.datetime, dry_run: bool) -> Dropped:
    """Delete run folders that are neither live nor restorable nor young, and what the warehouse keeps of them.

    Of each partition the newest publications of different runs stay, as many as `retention.publications` says. Folders
    touched within `retention.days` stay whatever they are: one may be of a run that is going on. A folder is renamed
    before it is deleted, so that an interruption leaves no half run; the next call finishes it.

    Args:
        warehouse: Where the spec publishes.
        spec: The spec.
        runs_root: Folder of all runs.
        now: Present time.
        dry_run: Only say what would be deleted.

    Raises:
        RunFolderUnusable: A folder cannot be deleted.
        PublishError: The warehouse failed.
    """
    history = warehouse.history(spec.publish.table)
    keep = restorable(history, publications=spec.retention.publications)
    before = now - dt.timedelta(days=spec.retention.days)
    found = [
        path for path in found_below(runs_root / spec.name, "*/*") if path.is_dir() and _is_ours(path, spec, warehouse)
    ]
    dead = sorted(path for path in found if path.name not in keep and _touched(path) < before.timestamp())
    size = sum(_size(path) for path in dead)
    # Before the folders: deleting one touches the files that a table shares with it.
    measured = performance_table.table_name(spec.publish.table)
    tables = {
        spec.publish.table: keep,
        table_name(spec.publish.table): keep,
        measured: restorable(warehouse.history(measured), publications=spec.retention.publications),
        **_shadows(warehouse, spec),
    }
    dropped = [
        text
        for table, kept in tables.items()
        for text in warehouse.vacuum(table, keep=kept, before=before, dry_run=dry_run)
    ]
    if not dry_run:
        for path in dead:
            _delete(path)
    return Dropped(tuple(dead), size, tuple(dropped), kept=len(found) - len(dead))


def _shadows(warehouse: Warehouse, spec: ScoringSpec) -> dict[str, set[str]]:
    """Return the shadow tables and the runs of each that stay; their run folders lie in those of the champion's."""
    tables = spec.trial.shadow_tables(spec.publish.table) if spec.trial is not None else ()
    return {table: restorable(warehouse.history(table), publications=spec.retention.publications) for table in tables}


def restorable(history: Sequence[Publication], *, publications: int) -> set[str]:
    """Return the keys of the runs that stay: of each partition the live one and the newest others.

    Args:
        history: Entries of the ledger, oldest first.
        publications: How many runs of a partition stay.
    """
    keep = {entry.run_key for entry in live_entries(history)}
    for entries in by_partition(history).values():
        made = dict.fromkeys(entry.run_key for entry in reversed(entries) if entry.outcome in MADE)
        live = [run_key for run_key in made if run_key in keep]
        others = [run_key for run_key in made if run_key not in keep]
        keep.update(others[: max(0, publications - len(live))])
    return keep


def _is_ours(path: Location, spec: ScoringSpec, warehouse: Warehouse) -> bool:
    """Whether a folder is of this table: a run may be live in another one, where the spec published before."""
    if path.name.endswith(DELETING):
        return True
    try:
        plan = RunFolder(path).plan(step="vacuum")
    except StepOutOfOrder:
        return not (path / PLAN).exists()  # planning was interrupted; a plan of another version may be of a live run
    published = plan.spec.publish
    where = (published.warehouse, plan.warehouse, published.table)
    return where == (warehouse.kind, warehouse.location, spec.publish.table)


def _touched(path: Location) -> float:
    """Return when something in a run folder was last written, as a timestamp."""
    if isinstance(path, ObjectPath):
        return max((facts.st_mtime for _, facts in path.files_below()), default=0.0)
    return max((entry.stat().st_mtime for entry in (path, *path.rglob("*"))), default=0.0)


def _size(path: Location) -> int:
    if isinstance(path, ObjectPath):
        return sum(facts.st_size for _, facts in path.files_below())
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())


def _delete(path: Location) -> None:
    try:
        if isinstance(path, ObjectPath):
            (path / PLAN).unlink(missing_ok=True)  # without it nobody takes the rest for a run
            path.remove_tree()
            return
        doomed = path if path.name.endswith(DELETING) else path.rename(path.with_name(path.name + DELETING))
        shutil.rmtree(doomed)
        with contextlib.suppress(OSError):  # other runs of the day are there
            path.parent.rmdir()
    except OSError as error:
        raise RunFolderUnusable(str(path), error.strerror or str(error)) from error
