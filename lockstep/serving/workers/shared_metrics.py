"""The metrics of all workers as one: each writes its numbers down, and whoever is asked adds them up.

A worker's counts outlive it, so that counters never go back; what it was doing when it ended does not.
"""

import asyncio
import contextlib
import json
import os
from pathlib import Path

from lockstep.serving.metrics import FAMILIES, Metrics, Snapshot, merged, text

PREFIX = "metrics-"
PAST = f"{PREFIX}past.json"
PASSING = {name for name, family in FAMILIES.items() if family.kind in {"gauge", "bound", "info"}}


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write the numbers of this process, whole or not at all; a full disk costs the others a look at older ones."""
    path = folder / f"{PREFIX}{os.getpid()}.json"
    partial = path.with_suffix(".partial")
    with contextlib.suppress(OSError):
        partial.write_text(json.dumps(snapshot), encoding="utf-8")
        partial.replace(path)


async def write_snapshots(folder: Path, metrics: Metrics, *, every_s: float) -> None:
    """Write this process's numbers now and then, and once more when it stops."""
    try:
        while True:
            write_snapshot(folder, metrics.snapshot())
            await asyncio.sleep(every_s)
    finally:
        write_snapshot(folder, metrics.snapshot())


def all_text(folder: Path, own: Snapshot) -> bytes:
    """Write the sum over all workers, of this one as it is now, in Prometheus's text format."""
    return text(all_snapshots(folder, own), process=False)


def all_snapshots(folder: Path, own: Snapshot) -> list[Snapshot]:
    """Return the numbers of all workers, of this one as they are now."""
    mine = f"{PREFIX}{os.getpid()}.json"
    return [own, *(_read(path) for path in sorted(folder.glob(f"{PREFIX}*.json")) if path.name != mine)]


def bury(folder: Path, pid: int) -> None:
    """Take what a process counted that is no more into the past; called by one process alone."""
    path = folder / f"{PREFIX}{pid}.json"
    last = {name: values for name, values in _read(path).items() if name not in PASSING}
    partial = folder / f"{PREFIX}past.partial"
    partial.write_text(json.dumps(merged([_read(folder / PAST), last])), encoding="utf-8")
    partial.replace(folder / PAST)
    path.unlink(missing_ok=True)


def _read(path: Path) -> Snapshot:
    try:
        found: Snapshot = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
