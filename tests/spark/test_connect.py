"""Spark Connect: the column UDF of a client of a real Connect server gives the bits of a classic session."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lockstep.registry.loading import load_scorer
from lockstep.run.plan import ModelIdentity
from lockstep.run.processes import stop
from lockstep.specs.settings import Settings
from tests.integration.kill_runs import make_model
from tests.integration.s3_server import free_ports, wait_for
from tests.spark import connect_client
from tests.spark.standalone import SHORT_JOBS

ROOT = Path(__file__).parents[2]
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
TIMEOUT_S = 180


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelIdentity:
    return make_model(tmp_path_factory.mktemp("artifact") / "model")


@pytest.fixture(scope="module")
def env(spark: SparkSession) -> dict[str, str]:
    """Of server and clients; the session of these tests has found a Java."""
    own = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return {**os.environ, **own}


@pytest.fixture(scope="module")
def server(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Connect server in a process of its own, as `sbin/start-connect-server.sh` starts it."""
    folder, [port] = tmp_path_factory.mktemp("connect"), free_ports(1)
    conf = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.driver.memory": "768m",
        "spark.driver.extraJavaOptions": SHORT_JOBS,
        "spark.sql.shuffle.partitions": "2",
    }
    command = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[2]", "--class", SERVER]
    command += [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "spark-internal"], env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for("127.0.0.1", port, process, log=folder / "server.log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        stop(process)


def scored(address: str, model: ModelIdentity, env: dict[str, str], home: Path) -> dict[str, Any]:
    """Return what a client process got."""
    command = [sys.executable, "-m", "tests.spark.connect_client", address, model.model_dump_json(), str(home)]
    answer = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert answer.returncode == 0, answer.stderr[-3000:]
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def test_a_connect_client_gets_the_bits_of_a_classic_session(
    spark: SparkSession, server: str, model: ModelIdentity, env: dict[str, str], tmp_path: Path
) -> None:
    remote = scored(server, model, env, tmp_path / "remote")
    own = Settings.from_env({"LOCKSTEP_HOME": str(tmp_path / "classic")})
    classic = connect_client.results(spark, model, own)
    assert remote.pop("session") == "pyspark.sql.connect.session"
    assert classic.pop("session") != "pyspark.sql.connect.session"
    assert remote == classic
    columns = {"depot": [row[1] for row in connect_client.ROWS], "km": [row[2] for row in connect_client.ROWS]}
    batch = pa.RecordBatch.from_pydict({**columns, "km": pa.array(columns["km"], pa.float64())})
    values = load_scorer(Path(model.location)).score(batch).values
    expected = [None if math.isnan(value) else float(value).hex() for value in values]
    assert remote["column"] == remote["errors"] == remote["sql"] == expected
    assert None in expected
    assert len(set(expected)) > 100
    assert [reason is None for reason in remote["reasons"]] == [value is not None for value in expected]
