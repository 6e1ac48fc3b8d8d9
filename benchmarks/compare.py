"""Measure systems side by side: the same files in, the same Parquet out, on the same cores.

    .venv/bench/bin/python -m benchmarks.compare --workload mlp20 mlp200 --rounds 5
    .venv/bench/bin/python -m benchmarks.compare --workload mlp20 --rows 100000000 --system bare lockstep

Warm: every system lives in a process of its own, with its session up and its model loaded by earlier runs; then all
take turns, round by round, so that noise of the machine hits all alike. Cold: a fresh process tree for each run, from
its start to its end and to its first rows on disk; rounds take turns as well. Every output is checked against the bare
loop's. A system that fails is reported with its error and the others go on; the exit code is then 1.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cold import measure_cold
from benchmarks.job import ROOT, Job, environment
from benchmarks.machine import describe, restrict_cores
from benchmarks.results import BARE, Record, summarise, write_results
from benchmarks.systems.system import SYSTEMS
from benchmarks.warm import measure_warm
from benchmarks.workloads.workload import WORKLOADS

MODES = {"warm": measure_warm, "cold": measure_cold}
MEMORY_FROM_ROWS = 50_000_000


def main() -> int:
    """Measure what the command line asks for; write and print the results."""
    options = arguments().parse_args()
    cores = restrict_cores(options.cores)
    systems = [BARE, *(name for name in options.system or SYSTEMS if name != BARE)]
    failed = False
    for workload in options.workload:
        job = prepare(workload, rows=options.rows, cores=cores)
        for mode in options.mode:
            records = [new_record(job, system, mode=mode, cores=cores) for system in systems]
            MODES[mode](
                job,
                records,
                rounds=options.rounds,
                timeout_s=options.timeout_s,
                memory=options.memory or job.rows >= MEMORY_FROM_ROWS,
            )
            summarise(records)
            print(write_results(records, options.results))
            print_table(records)
            failed = failed or any(record.error for record in records)
    return 1 if failed else 0


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--system", nargs="*", choices=list(SYSTEMS), help="all unless given; bare is always there")
    parser.add_argument("--mode", nargs="+", choices=list(MODES), default=["warm"])
    parser.add_argument("--rows", type=int, help="the workload's own number unless given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--timeout-s", type=float, default=3600.0, help="for one run of one system")
    parser.add_argument("--memory", action="store_true", help=f"sample it; always from {MEMORY_FROM_ROWS:,} rows on")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser


def prepare(workload: str, *, rows: int | None, cores: int) -> Job:
    """Make data and model in a process of its own, so that nothing of it stays in memory."""
    command = [sys.executable, "-m", "benchmarks.prepare", workload, "--cores", str(cores)]
    command += ["--rows", str(rows)] if rows else []
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), check=False)
    if done.returncode != 0:
        sys.exit(f"{workload}: data and model could not be made:\n{done.stderr[-3000:]}")
    return Job.from_json(done.stdout.splitlines()[-1])


def new_record(job: Job, system: str, *, mode: str, cores: int) -> Record:
    """Return a record without figures."""
    entry = SYSTEMS[system]
    return Record(
        workload=job.workload,
        system=system,
        version=entry.version,
        variant=next(iter(entry.variants)),
        mode=mode,
        rows=job.rows,
        machine=describe(cores),
    )


def print_table(records: Sequence[Record]) -> None:
    """Print one line a system."""
    for record in records:
        if record.median_s is None or record.error:
            print(f"  {record.system:<18} {record.error or 'no runs'}")
            continue
        speed = record.rows / record.median_s
        first = f"  first row {record.median_first_row_s:.2f} s" if record.median_first_row_s else ""
        print(
            f"  {record.system:<18} {record.median_s:8.3f} s  {speed:12,.0f} rows/s  "
            f"{record.ratio_to_bare or 0:6.2f} x bare{first}  [{record.variant}]"
        )


if __name__ == "__main__":
    sys.exit(main())
