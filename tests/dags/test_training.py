"""The training DAG: what starts it, what it runs, and that a kill is a kill."""

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow.sdk import DAG, AssetAny
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.bags import parse
from tests.dags.tasks import DataPlane, context

pytestmark = pytest.mark.filterwarnings("ignore")
FORM = {"first_day": None, "last_day": None}


@pytest.fixture
def dag(models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DAG:
    """The training DAG of the one spec; the interpreters are the scripts of `data_plane`."""
    monkeypatch.setenv("LOCKSTEP_TRAINING_PYTHON", str(tmp_path / "bin" / "python"))
    bag = parse()
    assert bag.import_errors == {}
    return bag.dags["train_flight_delay"]


def test_only_a_spec_that_declares_training_has_one(models: Path) -> None:
    file = models / "flight_delay" / "scoring.yaml"
    before, _, after = file.read_text().partition("\ntraining:\n")
    file.write_text(before + "\n" + after[after.index("\nlimits:") :])
    assert "train_flight_delay" not in parse().dags


def test_the_retraining_asset_starts_it_and_nothing_is_promoted(dag: DAG) -> None:
    assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == dag.dag_id
    dag.params.validate()
    condition = dag.timetable.asset_condition
    assert isinstance(condition, AssetAny)
    assert [(asset.name, asset.uri) for asset in condition.objects] == [
        ("retrain/flight_delay", "lockstep://retrain/flight_delay")
    ]
    assert [task.task_id for task in dag.topological_sort()] == ["training_set", "train", "candidate"]
    assert (dag.get_task("training_set").pool, dag.get_task("train").pool) == ("spark", "training")
    assert "@challenger" in dag.get_task("candidate").arguments


def run(dag: DAG, task: str, **form: Any) -> Any:
    return dag.get_task(task).execute(context(run_type="manual", **{**FORM, **form}))


def test_each_task_gets_days_folder_and_alias(dag: DAG, data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane(f"""echo "$*" >> {tmp_path}/args; echo "$OMP_NUM_THREADS" > {tmp_path}/threads""")
    run(dag, "training_set", first_day="2013-02-01")
    run(dag, "train")
    job, script = (tmp_path / "args").read_text().splitlines()
    folder = tmp_path / "var" / "retraining" / "flight_delay"
    assert f"jobs/build_training_set.py --spec {tmp_path}/models/flight_delay --out {folder}" in job
    assert job.endswith("--train-from 2013-02-01 --train-to 2013-06-30 --valid-from 2013-07-01 --valid-to 2013-07-31")
    assert script == f"{tmp_path}/models/flight_delay/train.py --training-set {folder} --alias challenger"
    assert (tmp_path / "threads").read_text() == "\n"


def test_days_that_cannot_be_trained_on_fail_at_once(dag: DAG, data_plane: DataPlane) -> None:
    data_plane("exit 0")
    for task in ("training_set", "train"):
        with pytest.raises(AirflowFailException, match=r"is before schedule\.start"):
            run(dag, task, first_day="2012-01-01")


def test_a_kill_stops_the_training_and_what_it_started(dag: DAG, data_plane: DataPlane, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    data_plane(f"sleep 300 & echo $$ $! > {pids}; wait")
    train: Any = dag.get_task("train")

    def kill() -> None:
        while not (pids.is_file() and pids.read_text().strip()):
            time.sleep(0.05)
        train.on_kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(AirflowException, match=r"training by train\.py was killed by signal"):
        run(dag, "train")
    killer.join()
    started = [int(pid) for pid in pids.read_text().split()]
    deadline = time.monotonic() + 20
    while any(map(runs, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in started if runs(pid)] == []


def runs(pid: int) -> bool:
    """Whether a process computes still; nobody may have reaped one that has ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_candidate_is_what_was_registered(dag: DAG, data_plane: DataPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_MLFLOW_URL", "http://mlflow.example")
    data_plane("""echo '{"name": "flight_delay", "version": 4, "digest": "d"}'""")
    assert run(dag, "candidate")["version"] == 4
    pages = dag.get_task("candidate").pages
    assert list(pages.values()) == ["http://mlflow.example/#/models/flight_delay/versions/4"]
