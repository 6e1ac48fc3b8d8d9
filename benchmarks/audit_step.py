"""What the whole audit step costs beside scoring: hashes, stamps, keys, suite, drift, histogram, data docs and ledger.

    .venv/data/bin/python -m benchmarks.audit_step --results FOLDER
    .venv/data/bin/python -m benchmarks.audit_step --results FOLDER --rounds 9 --keys shuffled

Makes run folders as the tests do and audits them with the step itself: again and again in this process, and in
processes of their own, as Airflow runs it. Those start Python, import Lockstep and load Great Expectations; the first
two are measured beside them. Each is set against what `benchmarks.compare` recorded for scoring as many rows: what is
warm against the warm figure, what starts a process against the one that starts Spark and ends it (`--mode cold`). Only
records of the same machine and the same hour compare, so `--results` names the folder they were written to.
"""

import argparse
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from benchmarks.check_tables import AUDIT, SCORE
from benchmarks.job import COMPLETE, ROOT, SCRATCH, empty_folder, environment
from benchmarks.machine import describe, restrict_cores
from lockstep.run.folder import AUDIT as VERDICT
from lockstep.run.folder import INPUT, MANIFEST, RunFolder
from lockstep.run.manifest import Manifest
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.units import plan_units
from lockstep.steps.audit import audit
from lockstep.steps.score import merged_profile
from tests.unit.steps import runs

BLOCK_ROWS, UNIT_BYTES = 65_536, 16 << 20
DAY = dt.date(2024, 3, 5)
# Rows, and the workload whose scoring of as many is recorded.
TABLES = ((10_000_000, "mlp20"), (3_000, "text"))
WARM = "audit, in a process that is warm"
IMPORT = "import lockstep.steps.audit"
STEP = """
import sys
from lockstep.run.folder import RunFolder
from lockstep.steps.audit import audit
from lockstep.specs.settings import Settings
from pathlib import Path
audit(RunFolder(Path(sys.argv[1])), Settings.from_env({"LOCKSTEP_HOME": sys.argv[2]}))
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keys", nargs="+", choices=["ordered", "shuffled"], default=["ordered", "shuffled"])
    parser.add_argument(
        "--results", type=Path, required=True, help="what benchmarks.compare wrote with the same option"
    )
    options = parser.parse_args()
    os.environ.update(environment())
    print(json.dumps(describe(restrict_cores(options.cores))))
    for rows, workload in TABLES:
        scoring = {mode: recorded_s(options.results, workload, rows, mode=mode) for mode in ("warm", "cold")}
        told = ", ".join(f"{seconds:.2f} s {mode}" for mode, seconds in scoring.items())
        print(f"\n{rows:,} rows, 8 columns, {len(AUDIT)} expectations; scoring ({workload}): {told}")
        for keys in options.keys:
            folder, root = run_folder(rows, keys=keys)
            times = measured(folder, root, rounds=options.rounds)
            for name, seconds in times.items():
                mode = "warm" if name == WARM else "cold"
                share = 100 * seconds / scoring[mode]
                print(f"  keys {keys:<9} {name:<34} {seconds:6.2f} s  {share:5.0f} % of {mode} scoring")
    return 0


def measured(folder: RunFolder, root: Path, *, rounds: int) -> dict[str, float]:
    """Return medians in seconds of what takes turns, after a round that is not counted."""
    settings = runs.make_settings(root)

    def alone(code: str, *arguments: str) -> None:
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, cwd=ROOT)

    turns: dict[str, Callable[[], Any]] = {
        WARM: lambda: audit(folder, settings),
        "a process that audits": lambda: alone(STEP, str(folder.path), str(root)),
        "a process that only imports": lambda: alone(IMPORT),
    }
    found: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            folder.file(VERDICT).unlink(missing_ok=True)  # else it would be reused
            clock = time.perf_counter()
            turn()
            found[name] += [time.perf_counter() - clock] if number else []
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def run_folder(rows: int, *, keys: str) -> tuple[RunFolder, Path]:
    """Return a run that was scored and not audited, and where its model and warehouse are; made if need be."""
    root = SCRATCH / "audit_step" / f"{rows}-{keys}"
    if not (root / COMPLETE).exists():
        empty_folder(root)
        folder = _scored(root, rows, shuffled=keys == "shuffled")
        (root / COMPLETE).write_text(str(folder.path))
    return RunFolder(Path((root / COMPLETE).read_text(encoding="utf-8"))), root


def _scored(root: Path, rows: int, *, shuffled: bool) -> RunFolder:
    random = np.random.default_rng(0)
    ids = random.permutation(rows) if shuffled else np.arange(rows)
    days = pa.repeat(pa.scalar(DAY), rows)
    table = pa.table({"day": days, "id": pa.array(ids), "km": pa.array(100 * random.beta(2, 5, rows))})
    loaded = runs.make_spec(root, passthrough=[], reporting={}, output={"column": SCORE})
    (root / "models" / "parcels" / "checks" / "audit.yaml").write_text(yaml.safe_dump({"expectations": list(AUDIT)}))
    training = table.slice(0, 100_000)
    model = runs.make_model(root, loaded, version=1, training=training, score=runs.km_risk)
    folder = runs.plan_run(root, table, loaded, model)
    whole = folder.scoring_input(step="bench")  # whose units are as small as tests like them
    planned = plan_units(folder.path, ["input/part-0.parquet"], unit_bytes=UNIT_BYTES)
    folder.write_json(INPUT, whole.model_copy(update={"units": planned}))
    plan, baseline = folder.plan(step="bench"), Path(model.location, "artifacts", "baseline.json")
    scorer = Scorer(runs.FunctionBackend(runs.km_risk), Signature(model.inputs, model.outputs), block_rows=BLOCK_ROWS)
    units = UnitScorer(folder, plan, scorer, baseline=Profile.from_json(json.loads(baseline.read_text())))
    results = tuple(units.score(unit) for unit in folder.scoring_input(step="bench").units)
    folder.write_json(MANIFEST, Manifest(run_key=plan.run_key, units=results, profile=merged_profile(results)))
    return folder


def recorded_s(results: Path, workload: str, rows: int, *, mode: str) -> float:
    """Return the recorded time in which Lockstep scores as many rows, in seconds."""
    path = results / f"{workload}-{rows}-{mode}.json"
    if not path.exists():
        options = f"--workload {workload} --system lockstep --rows {rows} --mode warm cold --results {results}"
        command = f".venv/bench/bin/python -m benchmarks.compare {options}"
        raise SystemExit(f"scoring of {rows:,} rows is not recorded; run first: {command}")
    records = json.loads(path.read_text(encoding="utf-8"))
    return float(next(record["median_s"] for record in records if record["system"] == "lockstep"))


if __name__ == "__main__":
    sys.exit(main())
