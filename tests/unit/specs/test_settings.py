"""Settings come from the environment that is handed in, and only from it."""

import os
from pathlib import Path

import pytest

from lockstep.errors import SettingsError
from lockstep.specs.settings import Settings


def test_defaults_are_below_home(tmp_path: Path) -> None:
    settings = Settings.from_env({"LOCKSTEP_HOME": str(tmp_path)})
    assert settings.runs_root == tmp_path / "runs"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"


def test_an_object_store_is_refused_clearly() -> None:
    with pytest.raises(SettingsError, match="LOCKSTEP_RUNS is 's3://bucket/runs'; expected a local path"):
        Settings.from_env({"LOCKSTEP_RUNS": "s3://bucket/runs"})


@pytest.mark.parametrize("text", ["soon", "-1"])
def test_a_wait_must_be_a_number_of_seconds(text: str) -> None:
    with pytest.raises(SettingsError, match="LOCKSTEP_WAREHOUSE_WAIT_S"):
        Settings.from_env({"LOCKSTEP_WAREHOUSE_WAIT_S": text})


@pytest.mark.parametrize(
    ("environ", "actor"),
    [
        ({"LOCKSTEP_ACTOR": "anna", "USER": "ops", "AIRFLOW_CTX_DAG_ID": "d", "AIRFLOW_CTX_DAG_RUN_ID": "r"}, "anna"),
        ({"USER": "ops", "AIRFLOW_CTX_DAG_ID": "score_x", "AIRFLOW_CTX_DAG_RUN_ID": "run1"}, "airflow score_x run1"),
        ({"USER": "ops"}, "ops"),
        ({}, f"user {os.getuid()}"),
    ],
)
def test_the_ledger_is_told_who_is_at_work(environ: dict[str, str], actor: str) -> None:
    assert Settings.from_env(environ).actor == actor
