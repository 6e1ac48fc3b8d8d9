"""The steps of a run around Spark, each measured in a process of its own: seconds, processor time and peak memory.

`python -m benchmarks.scaling.steps NAME ROOT` prints what one step took as JSON. The clock runs around the step alone;
what it needs is made before, and its memory is told as what the process needs on top of that.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scaling import world
from lockstep.data.snapshot import take_snapshot
from lockstep.data.table_input import plan_table_input
from lockstep.publish.staged_files import read_footers, verify_files
from lockstep.quality import invariants
from lockstep.run.folder import MANIFEST, PLAN, RunFolder
from lockstep.run.identity import input_digest
from lockstep.run.queue import UnitQueue, clear_queues
from lockstep.scoring.attempts import finished, remove_strays, results_by_unit
from lockstep.steps.progress import ProgressWatch
from lockstep.steps.request import publish_request
from lockstep.steps.score import write_manifest
from tests.unit.steps import runs

Work = Callable[[], Any]
JOB = "bench"
MADE = {made.__name__: made for made in (world.make_results, world.make_manifest)}
WIDTH = 1000


def snapshot(root: Path, folder: RunFolder) -> Work:
    """List the table's files for the plan."""
    plan, data = folder.plan(step="bench"), runs.make_settings(root).data_root
    return lambda: take_snapshot(plan.spec, plan.partition, data)


def plan_file(root: Path, folder: RunFolder) -> Work:
    """Digest the files, write plan.json and read it."""
    plan, data = folder.plan(step="bench"), runs.make_settings(root).data_root
    sources = take_snapshot(plan.spec, plan.partition, data)

    def work() -> None:
        digest = input_digest((f.view, f.path, f.size_bytes, f.mtime_ns) for f in sources)
        folder.write_json(PLAN, plan.model_copy(update={"sources": sources, "input_digest": digest}))
        folder.plan(step="bench")

    return work


def units(_: Path, folder: RunFolder) -> Work:
    """Read all footers, cut units, write input.json."""
    plan = folder.plan(step="bench")
    table = plan.spec.input.table
    return lambda: plan_table_input(folder, table) if table else None


def input_read(_: Path, folder: RunFolder) -> Work:
    """Read input.json."""
    return lambda: folder.scoring_input(step="bench")


def todo_each(_: Path, folder: RunFolder) -> Work:
    """Look at each unit by itself for a finished attempt, as the driver did before."""
    wanted = folder.scoring_input(step="bench").units
    return lambda: [unit for unit in wanted if finished(folder, unit) is None]


def todo(_: Path, folder: RunFolder) -> Work:
    """Find the units that are not finished."""
    wanted = folder.scoring_input(step="bench").units

    def work() -> None:
        done = results_by_unit(folder)
        check(not [unit for unit in wanted if unit.id not in done], "all units are finished")

    return work


def queue(_: Path, folder: RunFolder) -> Work:
    """Offer all units to tasks."""
    wanted = folder.scoring_input(step="bench").units
    return lambda: UnitQueue(folder, JOB).open(wanted, width=WIDTH)


def queue_clear(_: Path, folder: RunFolder) -> Work:
    """Remove the queue."""
    return lambda: clear_queues(folder)


def first_look(_: Path, folder: RunFolder) -> Work:
    """Read the progress of a run whose units are all finished, for the first time."""
    watch = ProgressWatch(folder, folder.scoring_input(step="bench"))
    return lambda: watch.look(now=True)


def next_look(_: Path, folder: RunFolder) -> Work:
    """Read it again."""
    watch = ProgressWatch(folder, folder.scoring_input(step="bench"))
    watch.look(now=True)
    return lambda: watch.look(now=True)


def manifest(_: Path, folder: RunFolder) -> Work:
    """Read all results, merge their profiles, write manifest.json, look for strays."""
    folder.file(MANIFEST).unlink(missing_ok=True)
    return lambda: write_manifest(folder)


def manifest_read(_: Path, folder: RunFolder) -> Work:
    """Read manifest.json."""
    return lambda: folder.manifest(step="bench")


def strays(_: Path, folder: RunFolder) -> Work:
    """Look for what attempts left that do not count."""
    accepted = folder.manifest(step="bench").units
    return lambda: remove_strays(folder, accepted)


def account(_: Path, folder: RunFolder) -> Work:
    """Check that all rows are accounted for."""
    accepted, wanted = folder.manifest(step="bench"), folder.scoring_input(step="bench")
    return lambda: check(all(one.success for one in invariants.accounted_rows(accepted, wanted)), "rows balance")


def audit(_: Path, folder: RunFolder) -> Work:
    """Check size and hash of every staged file."""
    accepted = folder.manifest(step="bench")
    return lambda: check(
        all(one.success for one in invariants.unchanged_files(accepted, folder.path)), "files are unchanged"
    )


def publish(root: Path, folder: RunFolder) -> Work:
    """Name the staged files to the warehouse, verify them and read their footers."""
    settings, now = runs.make_settings(root), folder.plan(step="bench").planned_at

    def work() -> None:
        request = publish_request(folder, settings, now=now)
        verify_files(request)
        read_footers(request)

    return work


def check(ok: object, what: str) -> None:
    """Stop unless a step found what was prepared for it."""
    if not ok:
        raise SystemExit(f"the simulation is wrong: expected that {what}")


# Before there are results, and with them.
BEFORE: tuple[Callable[[Path, RunFolder], Work], ...] = (snapshot, plan_file, units, input_read)
AFTER: tuple[Callable[[Path, RunFolder], Work], ...] = (
    todo_each,
    todo,
    first_look,
    next_look,
    manifest,
    strays,
    audit,
    publish,
)
# Which read records alone, whether or not there are files.
RECORDS: tuple[Callable[[Path, RunFolder], Work], ...] = (queue, queue_clear, manifest_read, account)
STEPS = {step.__name__: step for step in (*BEFORE, *AFTER, *RECORDS)}


def main() -> int:
    """Measure one step."""
    name, root = sys.argv[1], Path(sys.argv[2])
    folder = RunFolder(Path((root / "run").read_text(encoding="utf-8")))
    if name in MADE:
        MADE[name](root, folder)
        os._exit(0)
    work = STEPS[name](root, folder)
    before_kb = _peak_kb()
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu_s = time.perf_counter() - clock, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "peak_mb": _peak_kb() / 1024, "before_mb": before_kb / 1024}))
    sys.stdout.flush()
    os._exit(0)  # tidying up a million records takes long and is no part of it


def _peak_kb() -> int:
    """Return the largest resident memory of this program; what the kernel tells of a process includes its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


if __name__ == "__main__":
    sys.exit(main())
