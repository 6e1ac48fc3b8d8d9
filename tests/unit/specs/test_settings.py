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


def test_runs_and_data_may_be_in_an_object_store() -> None:
    settings = Settings.from_env({"LOCKSTEP_RUNS": "s3://bucket/runs/", "LOCKSTEP_DATA": "abfss://box@account/data"})
    assert str(settings.runs_root) == "s3://bucket/runs"


@pytest.mark.parametrize("url", ["https://host/runs", "s3://", "s3://key:secret@bucket/runs", "s3://b/runs?secret=x"])
def test_a_url_that_cannot_be_used_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match=r"LOCKSTEP_RUNS is '?a URL that is not repeated here.*s3://") as caught:
        Settings.from_env({"LOCKSTEP_RUNS": url})
    assert "secret" not in str(caught.value).replace("may hold a secret", "")


def test_tables_of_delta_may_be_in_an_object_store() -> None:
    assert Settings.from_env({"LOCKSTEP_DELTA": "s3://bucket/lake/"}).warehouse("delta") == "s3://bucket/lake"
    with pytest.raises(SettingsError, match=r"LOCKSTEP_DELTA is '?a URL that is not repeated here") as caught:
        Settings.from_env({"LOCKSTEP_DELTA": "s3://key:hunter2@bucket/lake"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["s3://bucket/lake", "s3://key:hunter2@bucket/lake", "postgresql://u:hunter2@h/d"])
def test_a_catalog_of_iceberg_is_in_no_store(value: str) -> None:
    with pytest.raises(SettingsError, match=r"LOCKSTEP_ICEBERG.*expected a folder .*catalog:NAME.*warehouse") as caught:
        Settings.from_env({"LOCKSTEP_ICEBERG": value})
    assert "hunter2" not in str(caught.value)
    assert Settings.from_env({"LOCKSTEP_ICEBERG": "catalog:lake/scores"}).warehouse("iceberg") == "catalog:lake/scores"


def test_the_cache_is_on_a_disk() -> None:
    with pytest.raises(SettingsError, match="LOCKSTEP_CACHE is 's3://bucket/cache'; expected a path on a disk"):
        Settings.from_env({"LOCKSTEP_CACHE": "s3://bucket/cache"})


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
