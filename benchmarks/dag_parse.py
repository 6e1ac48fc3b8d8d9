"""How long Airflow takes to parse the DAG files, per 100 specs, and what that imports.

    .venv/control/bin/python -m benchmarks.dag_parse --specs 100 --processor

Each figure is of a fresh process, as in the DAG processor, after `import airflow.sdk`. A starting task parses
scoring.py too, but builds its own DAG alone. The peer is a minimal DAG file: Airflow's own cost. With
--processor come the seconds that Airflow's own DAG processor says each file took, with one more spec, which is broken.
Exit code 1 when parsing imports a heavy library.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dag_processor import Processed, break_one, process

REPOSITORY = Path(__file__).parents[1]
HEAVY = ("torch", "pyspark", "mlflow", "pandas", "numpy", "pyarrow")
CHILD = """
import contextlib, os, sys, time
from pathlib import Path
import airflow.sdk
from airflow.dag_processing.dagbag import BundleDagBag
file, task_of = Path(sys.argv[1]), sys.argv[2]
if task_of:
    os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = task_of
begin = time.perf_counter()
with open(os.devnull, "w") as void, contextlib.redirect_stdout(void):
    bag = BundleDagBag(dag_folder=str(file), bundle_path=file.parent, bundle_name="dags-folder")
seconds = time.perf_counter() - begin
heavy = ",".join(m for m in sys.argv[3].split(",") if m in sys.modules)
print(f"{len(bag.dags)} {len(bag.import_errors)} {seconds:.3f} {heavy or '-'}")
"""
OTHERS = ("maintenance.py", "rollback.py", "promotion.py", "reporting.py", "parity.py", "training.py", "labels.py")
PEER = "from airflow.sdk import DAG\nwith DAG('peer'):\n    pass\n"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time to parse the DAG files.")
    parser.add_argument("--specs", type=int, default=100, help="number of generated specs")
    parser.add_argument("--processor", action="store_true", help="also run Airflow's own DAG processor")
    asked = parser.parse_args()
    count: int = asked.specs
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        models = write_specs(root / "models", count)
        peer = root / "peer.py"
        peer.write_text(PEER, encoding="utf-8")
        one = write_specs(root / "one", 1)
        dags = REPOSITORY / "dags"
        rows = [
            ("a minimal DAG file", parse(peer, root, models=one)),
            ("scoring.py, 1 spec", parse(dags / "scoring.py", root, models=one)),
            (f"scoring.py, {count} specs", parse(dags / "scoring.py", root, models=models)),
            ("  in one of its tasks", parse(dags / "scoring.py", root, models=models, dag_id="score_spec_000")),
            (f"invalid_specs.py, {count} specs", parse(dags / "invalid_specs.py", root, models=models)),
            *((f"{name}, {count} specs", parse(dags / name, root, models=models)) for name in OTHERS),
        ]
        processed = None
        if asked.processor:
            break_one(models)
            processed = process(models, root / "processor")
    for name, found in rows:
        print(f"{name:<28} {found.dags:>4} DAGs, {found.errors} errors, {found.seconds:6.2f} s, heavy: {found.heavy}")
    per_spec = (rows[2][1].seconds - rows[1][1].seconds) / max(count - 1, 1)
    print(f"per 100 specs: {per_spec * 100:.2f} s, after {rows[1][1].seconds:.2f} s of imports")
    if processed is not None:
        show(processed, count)
    return 0 if all(found.errors == 0 and found.heavy == "-" for _, found in rows) else 1


def show(processed: Processed, count: int) -> None:
    """Print what the DAG processor did."""
    print(f"\nairflow dag-processor, {count} specs and a broken one: {processed.wall_s:.1f} s with start and writing")
    for file, seconds in sorted(processed.seconds.items()):
        print(f"{file:<28} {len(processed.dags[file]):>4} DAGs, {seconds:6.2f} s")
    for file, text in processed.errors.items():
        print(f"{file:<28} import error, {len(text.splitlines())} lines")


@dataclass(frozen=True)
class Parsed:
    """What a fresh process found."""

    dags: int
    errors: int
    seconds: float
    heavy: str


def write_specs(models: Path, count: int) -> Path:
    """Write `count` copies of the example spec under names of their own."""
    text = (REPOSITORY / "models" / "flight_delay" / "scoring.yaml").read_text(encoding="utf-8")
    for number in range(count):
        name = f"spec_{number:03}"
        (models / name).mkdir(parents=True)
        (models / name / "scoring.yaml").write_text(text.replace("name: flight_delay\nd", f"name: {name}\nd", 1))
    return models


def parse(file: Path, scratch: Path, *, models: Path, dag_id: str = "") -> Parsed:
    """Parse a file in a fresh process."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "AIRFLOW_HOME": str(scratch / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "LOCKSTEP_MODELS": str(models),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-c", CHILD, str(file), dag_id, ",".join(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    dags, errors, seconds, heavy = done.stdout.splitlines()[-1].split()
    return Parsed(int(dags), int(errors), float(seconds), heavy)


if __name__ == "__main__":
    sys.exit(main())
