"""Model artifacts that MLflow's own server hands out (`mlflow-artifacts:`): a node gets them from its address alone."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.errors import ArtifactUnreachable
from lockstep.registry.artifact import artifact_digest
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.resolve import resolve_model
from lockstep.run.processes import stop
from lockstep.specs.settings import TELEMETRY_OFF
from tests.integration.kill_runs import make_model
from tests.integration.s3_server import free_ports

READY_S = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that keeps artifacts in a folder which it alone reads."""
    folder, [port] = tmp_path_factory.mktemp("mlflow"), free_ports(1)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "kept")]
    env = {**os.environ, **TELEMETRY_OFF, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(url, process, folder / "server.log")
        yield url
    finally:
        stop(process)


def wait_until_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.2)


def test_the_plan_has_the_servers_address_and_a_node_needs_no_more(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    local = tmp_path / "model"
    identity = make_model(local)
    client = MlflowClient(server, server)
    run = client.create_run("0")
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    client.log_artifacts(run.info.run_id, str(local), "model")
    client.create_registered_model("parcels")
    client.create_model_version("parcels", source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    found = resolve_model(server, "parcels", version=1, cache_root=tmp_path / "driver")
    assert found.location.startswith(f"{server}/api/2.0/mlflow-artifacts/artifacts/")
    assert (found.digest, found.inputs) == (identity.digest, identity.inputs)
    kept = fetch_artifact(found, tmp_path / "node")
    assert artifact_digest(kept) == identity.digest
    gone = found.model_copy(update={"location": f"{found.location}/nothing", "digest": "0" * 64})
    with pytest.raises(ArtifactUnreachable, match="cannot be read on host"):
        fetch_artifact(gone, tmp_path / "other")
