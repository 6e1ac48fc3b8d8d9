"""A night through Airflow: three Spark hosts, a store of objects, PostgreSQL; and the same night on one machine."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest

from lockstep.registry.resolve import resolve_model
from lockstep.run.folder import CLAIM, PLAN, RunFolder
from lockstep.storage.objects import ObjectPath
from tests.cluster.cluster import MASTER_PORT, ROOT, Cluster, check_no_orphans, upload
from tests.integration.kill_runs import content
from tests.integration.world import AUDIT, GATE, QUERY, REPORTING, SPEC, TABLE
from tests.operations.installation import Installation, install
from tests.operations.stack import Stack

DAY, SPEC_NAME = "2024-01-02", "churn"


def add_spec(home: Path) -> None:
    """Declare a spec with a feature query, which Spark computes, that publishes to PostgreSQL."""
    folder = home / "models" / SPEC_NAME
    text = SPEC.replace("start: 2024-01-01", "start: 2024-01-01, end: 2024-01-05")
    text = text.replace("publish: {", "publish: {warehouse: postgresql, ")
    files = {"scoring.yaml": text, "features.sql": QUERY, "checks/gate.yaml": GATE, "checks/audit.yaml": AUDIT}
    for name, each in {**files, "reporting/by_city.sql": REPORTING}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(each)


def on_the_cluster(made: Installation, cluster: Cluster) -> Installation:
    """Give an installation the cluster's Spark, and its store for runs and data."""
    connection = {
        "conn_type": "spark",
        "host": f"spark://{cluster.hosts.address('master')}",
        "port": MASTER_PORT,
        "extra": json.dumps({"profile": "three"}),
    }
    own = {
        "LOCKSTEP_DATA": "s3://data/churn",
        "LOCKSTEP_CACHE": str(cluster.hosts.private / "cache"),
        "LOCKSTEP_CONTROL_PYTHON": str(ROOT / ".venv" / "control" / "bin" / "python"),
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(connection),
    }
    return replace(made, env={**cluster.env, **made.env, **own})


def move_champion(made: Installation, url: str) -> None:
    """Register the champion once more, with its artifact in the store."""
    registry = made.env["MLFLOW_TRACKING_URI"]
    upload(Path(resolve_model(registry, "churn", alias="champion").location), ObjectPath.parse(url))
    client = mlflow.MlflowClient(registry, registry)
    moved = client.create_model_version("churn", source=url)
    client.set_registered_model_alias("churn", "champion", moved.version)


def one_machine(folder: RunFolder, made: Installation, root: Path) -> RunFolder:
    """Compute the same plan again with local Spark and a run folder on the disk."""
    copy = RunFolder.of(root, spec=SPEC_NAME, partition=folder.plan(step="test").partition, run_key=folder.path.name)
    for name in (PLAN, CLAIM, *folder.names("spec")):
        copy.write_text(name, folder.file(name).read_text(encoding="utf-8"))
    env = {**made.env, "LOCKSTEP_RUNS": str(root), "LOCKSTEP_SPARK_PROFILE": "local"}
    for step in ("materialize", "score"):
        command = [sys.executable, "-m", "lockstep", "step", step, "--run-folder", str(copy.path)]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return copy


@pytest.mark.slow
def test_a_night_through_airflow_is_the_same_as_on_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    made = on_the_cluster(install(tmp_path / "installation"), cluster)
    add_spec(made.home)
    upload(made.home / "data", ObjectPath.parse("s3://data/churn"))
    stack = Stack(made)
    try:
        made.registry.start()
        made.warehouse.start()
        move_champion(made, "s3://models/churn-champion")
        stack.start()
        began = time.monotonic()
        run_id = stack.trigger(SPEC_NAME, DAY)
        [run] = stack.wait_for_runs(SPEC_NAME, 1, within_s=400)
        states = {task: each["state"] for task, each in stack.tasks(SPEC_NAME, run_id).items()}
        assert run["state"] == "success", states
        print(f"\na night of {len(states)} tasks through Airflow: {time.monotonic() - began:.0f} s")
        live = made.live(TABLE)
        [path] = ObjectPath.parse(f"s3://runs/{SPEC_NAME}/{DAY}").iterdir()
        folder = RunFolder(path)
        check_no_orphans(folder)
        assert folder.plan(step="test").model.location == "s3://models/churn-champion"
        assert content(one_machine(folder, made, tmp_path / "one")) == content(folder)
        assert {DAY: staged(folder)} == live
        assert_secret_nowhere(made, folder)
    finally:
        stack.stop()
        made.registry.stop()
        made.warehouse.stop()


def staged(folder: RunFolder) -> list[tuple[int, float, int]]:
    """Return id, score and model version of all staged rows."""
    rows = []
    for unit in folder.manifest(step="test").units:
        table = pq.read_table(folder.local(unit.staged), columns=["id", "risk", "model_version"])
        rows += list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return sorted(rows)


def assert_secret_nowhere(made: Installation, folder: RunFolder) -> None:
    """The key of the store is in no plan, record or log."""
    secret = made.env["AWS_SECRET_ACCESS_KEY"].encode()
    assert not [name for name in folder.names("") if secret in folder.file(name).read_bytes()]
    logs = [file for file in made.home.rglob("*") if file.is_file() and file.stat().st_size < 50_000_000]
    assert not [str(file) for file in logs if secret in file.read_bytes()]
