"""Which profile a Spark task has: that of the settings, or that of Airflow's connection, whose master it must fit."""

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from lockstep.airflow.spark import SparkStepOperator
from tests.dags.tasks import DataPlane, context


def spark(root: Path) -> SparkStepOperator:
    folder = root / "runs" / "m" / "2013-08-01" / "aaaa"
    return SparkStepOperator(task_id="score", job="score", run_folder=str(folder))


def test_the_connection_names_profiles_and_the_master(
    data_plane: DataPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "spark", "host": "spark://master", "port": 7077, "extra": {"profile": "standalone,gpu"}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    data_plane(f"echo $* > {tmp_path}/args; echo $LOCKSTEP_SPARK_PROFILE > {tmp_path}/profile")
    spark(tmp_path).execute(context())
    assert "--master spark://master:7077" in (tmp_path / "args").read_text()
    assert (tmp_path / "profile").read_text().strip() == "standalone,gpu"
    [properties] = (tmp_path / "var" / "spark" / "profiles").iterdir()
    assert "spark.task.resource.gpu.amount 1" in properties.read_text()


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        ({"conn_type": "spark", "host": "spark://master", "port": 7077}, "connection spark_default names spark://"),
        ({"conn_type": "yarn"}, "connection spark_default names yarn://"),
        ({"conn_type": "spark", "host": "local", "extra": {"profile": "nobody"}}, "no Spark profile 'nobody'"),
    ],
)
def test_a_profile_for_another_cluster_than_the_connections_is_refused(
    data_plane: DataPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], told: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    data_plane(f"touch {tmp_path}/started")
    with pytest.raises(AirflowFailException, match=told):
        spark(tmp_path).execute(context())
    assert not (tmp_path / "started").exists()
