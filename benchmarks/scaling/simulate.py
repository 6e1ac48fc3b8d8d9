"""Simulate runs of growing size and measure what grows: `python -m benchmarks.scaling.simulate --sizes 1000 10000`.

See `world` for what is real. Each result is written at once into `--results`, in place of an earlier one of that step
and size. A `--scratch` in memory (/dev/shm) keeps the disk out of it: 2 GB for 100,000 units.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.job import ROOT, SCRATCH
from benchmarks.machine import describe, restrict_cores
from benchmarks.scaling import ledger, steps, world

RESULTS = ROOT / "benchmarks" / "results" / "scaling.json"
SIZES, PARTITIONS = (1_000, 10_000, 100_000, 1_000_000), (100, 1_000, 10_000)
# Two files and a folder for each unit are more than a file system in memory may take.
MOST_FILES = 100_000
# Looking at each unit by itself is measured for comparison only, up to here.
MOST_EACH = 100_000


def main() -> int:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="work units")
    parser.add_argument("--most-files", type=int, default=MOST_FILES, help="units up to which each has its files")
    parser.add_argument("--partitions", type=int, nargs="*", default=PARTITIONS, help="days in the ledger")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--scratch", type=Path, default=SCRATCH / "scaling")
    options = parser.parse_args()
    for size in options.sizes:
        for facts in run_of(size, options.scratch / str(size), most_files=options.most_files):
            record(options.results, facts)
    for facts in ledger.measured(options.partitions, options.scratch / "ledger"):
        record(options.results, facts)
    return 0


def run_of(size: int, root: Path, *, most_files: int) -> Iterable[dict[str, Any]]:
    """Make a run of as many units, measure its steps and remove it; of more than `most_files` only the records."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    world.make_inputs(root, size)
    folder = world.make_run(root)
    (root / "run").write_text(str(folder.path), encoding="utf-8")
    for step in steps.BEFORE:
        yield {"step": step.__name__, "size": size, **measured(step.__name__, root)}
    child("make_manifest" if size > most_files else "make_results", root)
    for step in () if size > most_files else steps.AFTER:
        if step is not steps.todo_each or size <= MOST_EACH:
            yield {"step": step.__name__, "size": size, **measured(step.__name__, root)}
    for step in steps.RECORDS:
        yield {"step": step.__name__, "size": size, **measured(step.__name__, root)}
    files = ("plan.json", "input.json", "manifest.json")
    yield {"step": "bytes", "size": size, **{name: folder.file(name).stat().st_size for name in files}}
    shutil.rmtree(root)


def measured(step: str, root: Path) -> dict[str, float]:
    """Return what a step took in a fresh process."""
    facts: dict[str, float] = json.loads(child(step, root).splitlines()[-1])
    return {name: round(value, 4) for name, value in facts.items()}


def child(step: str, root: Path) -> str:
    """Do a step in a process of its own; return what it printed."""
    command = [sys.executable, "-m", "benchmarks.scaling.steps", step, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"step {step} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def record(results: Path, facts: dict[str, Any]) -> None:
    """Put one measurement into the results."""
    print(json.dumps(facts), flush=True)
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {"measured": []}
    kept = [one for one in known["measured"] if (one["step"], one["size"]) != (facts["step"], facts["size"])]
    known = {"machine": describe(restrict_cores(64)), "measured": [*kept, facts]}
    results.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
