"""Write the input files and log the model, unless they are there: `python -m benchmarks.prepare mlp20 --rows 100000`.

Prints the job as one line of JSON. The same name and size give the same bytes on every machine.
"""

import argparse
import datetime as dt
import hashlib
import inspect
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.job import COMPLETE, SCRATCH, Job, empty_folder, file_rows
from benchmarks.workloads.workload import SEED, WORKLOADS, Workload, find_workload

DAY = dt.date(2026, 1, 1)
ROW_GROUP_ROWS = 131_072


def main() -> int:
    """Prepare one workload."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    workload = find_workload(options.workload)
    rows = options.rows or workload.rows
    folder = data_folder(workload, rows)
    if not (folder / COMPLETE).exists():
        write_data(workload, rows, empty_folder(folder))
        (folder / COMPLETE).touch()
    print(prepared_job(workload, rows, cores=options.cores, data=folder).to_json())
    return 0


def data_folder(workload: Workload, rows: int) -> Path:
    """Return where the files of a workload are; its name changes with the code that draws them."""
    facts = (inspect.getsource(type(workload).features), inspect.getsource(write_data), SEED, workload.rows_per_file)
    return SCRATCH / "data" / f"{workload.name}-{rows}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:8]}"


def write_data(workload: Workload, rows: int, folder: Path) -> None:
    """Write the input files; each is drawn from a seed of its own."""
    first, sizes = 0, file_rows(rows, rows_per_file=workload.rows_per_file)
    for number, size in enumerate(sizes):
        rng = np.random.default_rng([SEED, number])
        keys = {
            "day": pa.array([DAY], pa.date32()).take(pa.array(np.zeros(size, dtype=np.int8))),
            "id": pa.array(np.arange(first, first + size)),
        }
        table = pa.table({**keys, **workload.features(rng, size)})
        file = folder / f"part-{number:05}.parquet"
        # A dictionary of random numbers would only make the files larger and slower to read, for everybody.
        pq.write_table(table, file, row_group_size=ROW_GROUP_ROWS, use_dictionary=["day"])
        first += size


def prepared_job(workload: Workload, rows: int, *, cores: int, data: Path) -> Job:
    """Save, log and register the model in the benchmark's own MLflow store, unless the same code did before."""
    import mlflow

    from lockstep.registry import packaging
    from lockstep.registry.resolve import resolve_model

    uri = f"sqlite:///{SCRATCH / 'mlflow' / 'mlflow.db'}"
    client = packaging.connect(uri, "bench")
    code = [*sorted(Path(__file__).parent.glob("workloads/*.py")), Path(__file__).parent / "pyfunc_model.py"]
    code.append(Path(packaging.__file__))
    versions = {package: metadata.version(package) for package in ("torch", "scikit-learn", "mlflow")}
    key = packaging.training_key(data=[], code=code, params=versions)
    model = SCRATCH / "models" / workload.name / key[:16]
    known = packaging.find_version(client, workload.name, key=key) if (model / COMPLETE).exists() else None
    if known is None:
        workload.save(empty_folder(model))
        with mlflow.start_run(run_name=workload.name):
            info = workload.log(model)
            tags = {packaging.TRAINING_KEY_TAG: key}
            known = mlflow.register_model(info.model_uri, workload.name, tags=tags)
        (model / COMPLETE).touch()
    identity = resolve_model(uri, workload.name, version=int(known.version))
    return Job(
        workload=workload.name,
        rows=rows,
        cores=cores,
        data=str(data),
        model=str(model),
        tracking_uri=uri,
        model_name=workload.name,
        model_version=identity.version,
        model_path=identity.location,
    )


if __name__ == "__main__":
    sys.exit(main())
