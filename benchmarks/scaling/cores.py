"""From one core to two: the same rows by the bare loop, by Lockstep in one process tree, and by it on executors.

    make bench-cores

Each system is there twice, warm, with one core and with two, and the two take turns; a run is the whole job, from the
listing of the files to the manifest. Efficiency is what a core does beside another one, of what it does alone:
`median of one core / median of two / 2`. The bare loop shows what the machine itself gives: cores share its memory and
its cache. With one core, the other is free for what is not scoring (the driver, a collector of garbage), which makes
the one look better, and the two worse. Executors are two of one core each, of a standalone cluster of two hosts
(127.0.0.1 and 127.0.0.2), with a process of their own; the driver's process shares the two cores with them.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyspark

from benchmarks.checking import count_rows
from benchmarks.compare import prepare
from benchmarks.contestant import Contestant
from benchmarks.job import ROOT, SCRATCH, Job, empty_folder, environment
from benchmarks.machine import describe
from benchmarks.systems.lockstep_job import MASTER
from lockstep.run.java import find_java_home
from tests.spark.standalone import cluster

RESULTS = ROOT / "benchmarks" / "results" / "scaling-cores.json"
# Some twenty seconds of one core each, so that what is done once for a run does not decide.
ROWS = {"mlp20": 60_000_000, "mlp200": 8_000_000, "trees": 4_000_000, "image": 60_000, "text": 2_400}
BARE, LOCAL, EXECUTORS = "bare loop", "Lockstep, one machine", "Lockstep, executors"
CORES = (1, 2)
TIMEOUT_S = 1800.0


def main() -> int:
    """Measure, write the results, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", nargs="+", choices=list(ROWS), default=["mlp20", "trees", "image"])
    parser.add_argument("--rows", type=int, help="of each workload, instead of some twenty seconds of one core")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if (os.cpu_count() or 1) < max(CORES):
        sys.exit("this machine has one core: there is nothing to compare")
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"measured": []}
    for workload in options.workload:
        job = prepare(workload, rows=options.rows or ROWS[workload], cores=max(CORES))
        for system in (BARE, LOCAL, EXECUTORS):
            found = measure(job, system, rounds=options.rounds)
            print(f"{workload:8} {system:24} {told(found)}", flush=True)
            others = [one for one in known["measured"] if (one["workload"], one["system"]) != (workload, system)]
            known = {"machine": describe(max(CORES)), "measured": [*others, found]}
            RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return 0


def told(found: Mapping[str, Any]) -> str:
    """Return the figures of a system as a line."""
    one, two = medians(found)
    speed = found["rows"] / two
    return f"{one:7.2f} s, {two:7.2f} s, {speed:12,.0f} rows/s with two, efficiency {efficiency(found):.3f}"


def efficiency(found: Mapping[str, Any]) -> float:
    """Return what a core does beside another, of what it does alone."""
    one, two = medians(found)
    return one / two / 2


def medians(found: Mapping[str, Any]) -> tuple[float, float]:
    """Return the seconds of a system with one core and with two."""
    one, two = (statistics.median(found["runs_s"][str(cores)]) for cores in CORES)
    return one, two


def measure(job: Job, system: str, *, rounds: int) -> dict[str, Any]:
    """Let a system with one core and one with two take turns; return their seconds."""
    runs: dict[str, list[float]] = {str(cores): [] for cores in CORES}
    output = empty_folder(SCRATCH / "out" / str(os.getpid())) / job.workload
    try:
        with contextlib.ExitStack() as stack:
            live = {cores: stack.enter_context(contestant(job, system, cores=cores)) for cores in CORES}
            for number in range(rounds + 1):
                for cores, each in live.items():
                    seconds = run(each, job, output)
                    if number:  # the first one warms up
                        runs[str(cores)].append(round(seconds, 3))
    finally:
        shutil.rmtree(output.parent, ignore_errors=True)
    return {"workload": job.workload, "system": system, "rows": job.rows, "runs_s": runs}


def run(contestant: Contestant, job: Job, output: Path) -> float:
    """Do the job once; return its seconds."""
    seconds, written = contestant.run(output)
    rows = count_rows(written)
    if rows != job.rows:
        sys.exit(f"{contestant.system}: {rows} rows written, expected {job.rows}")
    shutil.rmtree(output)
    return seconds


@contextlib.contextmanager
def contestant(job: Job, system: str, *, cores: int) -> Iterator[Contestant]:
    """Start a system with some cores; end it and its cluster at the end."""
    name, variant = ("bare", "a process per core") if system == BARE else ("lockstep", "default")
    own = Job.from_json(json.dumps({**json.loads(job.to_json()), "cores": cores}))
    logs = SCRATCH / "logs" / f"cores-{job.workload}-{name}-{cores}"
    logs.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        variables = {}
        if system == EXECUTORS:
            java = find_java_home(os.environ, cache_root=SCRATCH / "cache")
            homes = {"JAVA_HOME": str(java), "SPARK_HOME": str(Path(pyspark.__file__).parent)}
            variables[MASTER] = stack.enter_context(cluster(logs, environment(homes)))
        log = logs / "system.log"
        made = Contestant(own, name, variant=variant, log=log, timeout_s=TIMEOUT_S, variables=variables)
        stack.callback(made.close)
        made.wait_started()
        yield made


if __name__ == "__main__":
    sys.exit(main())
