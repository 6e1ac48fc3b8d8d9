"""`lockstep up` as a user has it: real PostgreSQL, MLflow and Airflow, real signals."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from typing import Any

import psutil
import pytest

from lockstep.services.airflow_api import AirflowApi
from lockstep.services.ports import free_port, is_free
from lockstep.services.process import family, is_alive
from tests.integration.stacks import STOP_TIMEOUT_S, UP, Stack, eventually, up

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    root = tmp_path_factory.mktemp("up")
    (root / "home").mkdir()
    return Stack(root / "home", free_port(), free_port(), root / "up.log")


def stop(process: "subprocess.Popen[bytes]", sign: signal.Signals) -> set[psutil.Process]:
    """Send a signal and return all processes that there were."""
    everyone = family([process.pid])
    process.send_signal(sign)
    process.wait(timeout=STOP_TIMEOUT_S)
    return everyone


def test_serves_on_loopback_only_and_stops_without_a_trace(world: Stack) -> None:
    with up(world) as process:
        passwords = world.home / "airflow" / "passwords.json"
        assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
        password = json.loads(passwords.read_text())["admin"]
        assert password in world.text()

        api = AirflowApi(world.airflow, password)
        assert {"spark", "warehouse_duckdb", "warehouse_postgresql"} <= {
            pool["name"] for pool in api.call("GET", "/pools")["pools"]
        }
        assert eventually(lambda: {"score_flight_delay", "score_text_embedding"} <= _dag_ids(api), within_s=60)
        with urllib.request.urlopen(f"http://127.0.0.1:{world.mlflow}/health", timeout=10) as response:
            assert response.read() == b"OK"

        addresses = {c.laddr.ip for p in family([process.pid]) for c in _listening(p)}
        assert addresses == {"127.0.0.1"}

        second = subprocess.run(
            [sys.executable, "-m", "lockstep", "up"],
            capture_output=True,
            text=True,
            env=world.environment(),
            check=False,
        )
        assert second.returncode == 4
        assert f"already running under process {process.pid}" in second.stderr

        everyone = stop(process, signal.SIGINT)
        assert process.returncode == 0
    assert not [p for p in everyone if is_alive(p)]
    assert is_free(world.airflow)
    assert is_free(world.mlflow)
    assert not list((world.home / "postgres").glob("*.pid"))
    assert sorted(f.name for f in (world.home / "services").iterdir()) == ["lock"]


def test_heals_after_kill_9_keeps_its_state_and_names_a_component_that_dies(world: Stack) -> None:
    with up(world) as process:
        everyone = family([process.pid])
        process.kill()
        process.wait()
        assert eventually(lambda: not any(is_alive(p) for p in everyone), within_s=STOP_TIMEOUT_S)
    with up(world) as process:
        assert "migrate" not in world.text()  # the metadata is there and of this version
        pid = int(re.findall(r"started dag-processor \(process (\d+)\)", world.text())[0])
        everyone = family([process.pid])
        os.kill(pid, signal.SIGKILL)
        assert process.wait(timeout=STOP_TIMEOUT_S) == 4
    assert "dag-processor was killed by signal 9, so everything was stopped" in world.text()
    assert not [p for p in everyone if is_alive(p)]


def test_ctrl_c_during_start_leaves_nothing(world: Stack) -> None:
    process = world.start()
    assert eventually(lambda: "started scheduler" in world.text(), within_s=60)
    everyone = stop(process, signal.SIGINT)
    assert UP not in world.text()
    assert not [p for p in everyone if is_alive(p)]


def test_port_that_is_taken_is_a_clear_error(world: Stack) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        environment = {**world.environment(), "LOCKSTEP_AIRFLOW_PORT": str(port)}
        command = [sys.executable, "-m", "lockstep", "up"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 4
    assert f"airflow cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "LOCKSTEP_AIRFLOW_PORT=<port>" in done.stderr


def _dag_ids(api: AirflowApi) -> set[str]:
    return {dag["dag_id"] for dag in api.call("GET", "/dags")["dags"]}


def _listening(process: psutil.Process) -> list[Any]:
    try:
        return [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    except psutil.Error:
        return []
