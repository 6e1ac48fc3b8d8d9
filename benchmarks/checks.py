"""What checks cost: Lockstep's audit beside Great Expectations on pandas and on Spark, over the same staged files.

    .venv/data/bin/python -m benchmarks.checks
    .venv/data/bin/python -m benchmarks.checks --rows 1000000 --rounds 1 --system lockstep pandas
    .venv/data/bin/python -m benchmarks.checks --rows --sizes 1000000 10000000 100000000 --rounds 1

Two tables: 4 million rows of 3 columns with 7 expectations, and 10 million rows of 8 columns with the suite of
`models/flight_delay`, both with one expectation of uniqueness. All run in this process and take turns; the session of
Spark is up before, and what a job pays for starting is not counted. Loading Great Expectations, which each step pays
once, is measured in processes of its own. Beside the second table is the recorded time in which Lockstep scores as many
rows (`benchmarks.compare --workload mlp20`).

`lockstep` measures with the embedded engine, `lockstep-spark` as it does above `limits.checks_spark_rows`. With
`--sizes` these two alone take turns over tables of the second kind, to say which engine wins where on one machine, and
how much memory this process took at most until then (the embedded engine's; Spark's is in its own process).
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.check_tables import AT, AUDIT, KEY, SCORE, SEVEN, staged_files
from benchmarks.job import ROOT, SCRATCH, environment
from benchmarks.machine import describe, restrict_cores
from lockstep.quality.expectations import RESULT_FORMAT, Decision
from lockstep.quality.histogram import score_histogram
from lockstep.quality.invariants import read_stamps, staged_problems
from lockstep.quality.loading import quiet
from lockstep.quality.measurement import Engine
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.metrics import repeated_keys
from lockstep.quality.rows import staged_rows
from lockstep.quality.suites import Suite
from lockstep.run.identity import file_sha256

LOAD = "from lockstep.quality.loading import load; load()"
# Without `ps1` pyspark takes a process of `-c` for doctests and ends it, and little was loaded.
LOAD_ALL = "import sys; sys.ps1 = ''; import great_expectations.expectations"

Times = dict[str, float]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="rows at which our two engines are compared")
    parser.add_argument("--rows", type=int, nargs="*", default=[4_000_000, 10_000_000], help="of the two tables")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--system", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    options = parser.parse_args()
    os.environ.update(environment())
    if options.sizes or {"spark", "lockstep-spark"} & set(
        options.system
    ):  # else Lockstep loads Great Expectations without its engine for Spark
        importlib.import_module("pyspark.sql")
    cores = restrict_cores(options.cores)
    print(json.dumps(describe(cores)))
    print(f"loading Great Expectations, once in each step: {load_s(LOAD, rounds=options.rounds):.2f} s")
    print(f"loading it with all that it imports: {load_s(LOAD_ALL, rounds=options.rounds):.2f} s")
    tables = [("3 columns, 7 expectations", SEVEN, False), ("8 columns, 8 expectations", AUDIT, True)]
    for rows, (title, checks, stamped) in zip(options.rows, tables, strict=False):
        files = staged_files(rows, stamped=stamped)
        size = sum(file.stat().st_size for file in files) / 2**20
        print(f"\n{rows:,} rows, {title}, {size:,.0f} MiB")
        if stamped and (scoring := scoring_s(rows)):
            print(f"  {'scoring (mlp20)':<18} {scoring:8.2f} s  recorded in benchmarks/results")
        print_times(compare(files, checks, systems=options.system, rounds=options.rounds, cores=cores))
    print_sizes(options.sizes, rounds=options.rounds, cores=cores)
    return 0


def compare(
    files: Sequence[Path], checks: Sequence[Mapping[str, Any]], *, systems: Sequence[str], rounds: int, cores: int
) -> dict[str, list[Times]]:
    """Run all systems in turns, after a round that is not counted; all must decide alike."""
    suite = Suite.model_validate({"expectations": checks})
    runs = {name: SYSTEMS[name](files, suite, cores) for name in systems}
    found: dict[str, list[Times]] = {name: [] for name in systems}
    for number in range(rounds + 1):
        verdicts = {}
        for name, run in runs.items():
            times: Times = {}
            with timed(times, "all"):
                verdicts[name] = run(times)
            found[name] += [times] if number else []
        if len({tuple(verdict) for verdict in verdicts.values()}) > 1:
            raise RuntimeError(f"the systems decide differently: {verdicts}")
    return found


def embedded(files: Sequence[Path], suite: Suite, cores: int) -> Callable[[Times], list[bool]]:  # noqa: ARG001
    """Lockstep with the embedded engine."""
    return lockstep(files, suite, EMBEDDED)


def with_spark(files: Sequence[Path], suite: Suite, cores: int) -> Callable[[Times], list[bool]]:
    """Lockstep with Spark."""
    from benchmarks.systems.spark_session import start_session
    from lockstep.quality.spark_measuring import spark_engine

    return lockstep(files, suite, spark_engine(start_session("checks", cores=cores, conf={})))


def lockstep(files: Sequence[Path], suite: Suite, engine: Engine) -> Callable[[Times], list[bool]]:
    """Lockstep: what the audit does with staged files, in its order."""
    known = {file: (file.stat().st_size, file_sha256(file)) for file in files}

    def run(times: Times) -> list[bool]:
        with timed(times, "sha256"):
            problems = staged_problems([(file, *facts) for file, facts in known.items()])
        if "run_key" in pq.read_schema(files[0]).names:
            with timed(times, "stamps"):
                read_stamps(files, partition_column=KEY[0])
        with timed(times, "expectations"):
            decision = Decision(suite)
        rows = staged_rows(files, where="x")
        with timed(times, "figures"), engine.measuring(rows, names=(*suite.needs, *KEY)) as measured:
            keys = repeated_keys(tuple(measured.columns[name] for name in KEY))
            answers = measured.answer({"keys": keys, **decision.questions(measured.columns)})
        with timed(times, "decide, data docs"):
            results = decision.results(answers, name="bench", docs=SCRATCH / "checks" / "docs", at=AT)
        with timed(times, "histogram"):
            score_histogram(files, SCORE, baseline=None)
        return [result.success for result in results] if not problems else []

    return run


def on_pandas(files: Sequence[Path], suite: Suite, cores: int) -> Callable[[Times], list[bool]]:  # noqa: ARG001
    """Great Expectations on pandas: the suite alone, over a data frame of the columns that it needs."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas(f"pandas {id(files)}").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("rows")

    def run(times: Times) -> list[bool]:
        with timed(times, "read"):
            tables = [pq.read_table(file, columns=list(suite.needs)) for file in files]
            frame = pa.concat_tables(tables).to_pandas(date_as_object=False)
        return validated(context, batch.get_batch({"dataframe": frame}), suite)

    return run


def on_spark(files: Sequence[Path], suite: Suite, cores: int) -> Callable[[Times], list[bool]]:
    """Great Expectations on Spark: the suite alone, over the files."""
    import great_expectations as gx

    from benchmarks.systems.spark_session import start_session

    spark = start_session("checks", cores=cores, conf={})
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_spark(f"spark {id(files)}").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("rows")

    def run(times: Times) -> list[bool]:  # noqa: ARG001
        frame = spark.read.parquet(*map(str, files))
        return validated(context, batch.get_batch({"dataframe": frame}), suite)

    return run


SYSTEMS: dict[str, Callable[[Sequence[Path], Suite, int], Callable[[Times], list[bool]]]] = {
    "lockstep": embedded,
    "lockstep-spark": with_spark,
    "pandas": on_pandas,
    "spark": on_spark,
}


def validated(context: Any, batch: Any, suite: Suite) -> list[bool]:
    """Validate a suite with an engine of Great Expectations."""
    import great_expectations as gx

    with quiet():
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        stored = gx.ExpectationSuite(f"suite {time.monotonic_ns()}", expectations=Decision(suite).expectations)
        outcome = batch.validate(context.suites.add(stored), result_format=dict(RESULT_FORMAT))
    placed = {int(result.expectation_config.meta["position"]): bool(result.success) for result in outcome.results}
    return [placed[index] for index in range(len(placed))]


def load_s(load: str, *, rounds: int) -> float:
    """Return how long a process takes to load Great Expectations beyond starting: the median, after a warm one."""

    def once(code: str) -> float:
        clock = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return time.perf_counter() - clock

    once(load)
    return statistics.median([once(load) - once("pass") for _ in range(rounds)])


def scoring_s(rows: int) -> float | None:
    """Return the recorded time in which Lockstep scores as many rows, or none."""
    path = ROOT / "benchmarks" / "results" / f"mlp20-{rows}-warm.json"
    if not path.exists():
        return None
    records = json.loads(path.read_text(encoding="utf-8"))
    found = [record for record in records if record["system"] == "lockstep"]
    return float(found[0]["median_s"]) if found else None


@contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    """Add the time of the body, in seconds."""
    clock = time.perf_counter()
    yield
    times[name] = time.perf_counter() - clock


def print_sizes(sizes: Sequence[int], *, rounds: int, cores: int) -> None:
    """Print for each size the time of both engines' figures, and which is faster."""
    systems = ("lockstep", "lockstep-spark")
    for rows in sizes:
        found = compare(staged_files(rows, stamped=True), AUDIT, systems=systems, rounds=rounds, cores=cores)
        times = {name: statistics.median([run["figures"] for run in found[name]]) for name in systems}
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items())
        print(f"{rows:,} rows: {told}; {min(times, key=times.__getitem__)} is faster; {peak_mib:,} MiB at most")


def print_times(found: Mapping[str, Sequence[Times]]) -> None:
    """Print medians, a line for each system."""
    for name, runs in found.items():
        median = {part: statistics.median([run[part] for run in runs]) for part in runs[0]}
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in median.items() if part != "all")
        print(f"  {name:<18} {median['all']:8.2f} s  {parts}")


if __name__ == "__main__":
    sys.exit(main())
