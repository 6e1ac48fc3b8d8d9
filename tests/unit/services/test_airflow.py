"""The environment of Airflow's processes and of the tasks they start."""

from pathlib import Path

import pytest

from lockstep.services.airflow import airflow_env
from lockstep.services.credentials import Credentials
from lockstep.services.ports import Ports
from lockstep.specs.settings import Settings


def environment(home: Path) -> dict[str, str]:
    return airflow_env(
        Settings.from_env({"LOCKSTEP_HOME": str(home), "USER": "ann"}),
        ports=Ports(1, 2, 3, 4),
        credentials=Credentials("a", "b", "c", "d", "e"),
        database_url="postgresql://",
        java_home=home,
        tracking_uri="sqlite://",
    )


def test_in_the_ledger_a_dag_run_is_named_and_not_who_started_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCKSTEP_ACTOR", raising=False)
    task = {**environment(tmp_path), "AIRFLOW_CTX_DAG_ID": "score_m", "AIRFLOW_CTX_DAG_RUN_ID": "run 1"}
    assert Settings.from_env(task).actor == "airflow score_m run 1"
    monkeypatch.setenv("LOCKSTEP_ACTOR", "the night shift")
    assert Settings.from_env(environment(tmp_path)).actor == "the night shift"


def test_tasks_see_the_settings_of_who_started_the_services(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert found["LOCKSTEP_RUNS"] == str(tmp_path / "runs")
    assert found["AIRFLOW_HOME"] == str(tmp_path / "airflow")
