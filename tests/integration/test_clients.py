"""Other people's clients, unmodified: each in an environment and a process of its own (`make setup-clients`)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc_endpoints import ROOT, child

SCRIPTS = Path(__file__).parent / "clients"
HOME = Path(os.environ.get("LOCKSTEP_CLIENTS", ROOT / ".venv"))
TIMEOUT_S = 120
# Script to its environment, the port that it is for, and how many checks it makes.
CLIENTS = {
    "triton_rest": ("client-triton", "http", 11),
    "triton_grpc": ("client-triton", "grpc", 10),
    "kserve_rest": ("client-kserve", "http", 5),
    "kserve_grpc": ("client-kserve", "grpc", 4),
}
# KServe's messages have the model's name where Triton's have that of a repository; ours takes either there.
EITHER = {"inference.RepositoryModelLoadRequest.model_name", "inference.RepositoryModelUnloadRequest.model_name"}


def interpreter(environment: str) -> Path:
    found = HOME / environment / "bin" / "python"
    if not found.exists():
        pytest.skip(f"{environment} is not installed: make setup-clients")
    return found


def run(script: str, argument: str) -> Iterator[dict[str, Any]]:
    """Run a script of a client and yield the lines that it prints."""
    command = [str(interpreter(CLIENTS[script][0])), str(SCRIPTS / f"{script}.py"), argument]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=kept, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stderr[-2000:]
    yield from lines


@pytest.mark.parametrize("script", CLIENTS)
def test_a_client_passes_all_of_its_checks(script: str, tmp_path: Path) -> None:
    _, port, checks = CLIENTS[script]
    interpreter(CLIENTS[script][0])
    with child(tmp_path) as running:
        found = list(run(script, f"127.0.0.1:{getattr(running, port)}"))
    problems = {line["check"]: line["problem"] for line in found if line["problem"] is not None}
    assert not problems, "\n".join(problems.values())
    assert len(found) == checks


@pytest.mark.parametrize("script", ["triton_grpc", "kserve_grpc"])
def test_the_protocol_is_that_of_the_client_field_by_field(script: str) -> None:
    ours = own_protocol()
    (theirs,) = run(script, "protocol")
    common = ours.keys() & theirs.keys() - {"rpcs"}
    assert {name for name in common if ours[name] != theirs[name]} <= EITHER
    messages = {name.rpartition(".")[0] for name in common}
    lacking = {name for name in theirs if name.rpartition(".")[0] in messages and name not in ours}
    assert not lacking
    for rpc in ours["rpcs"].keys() & theirs["rpcs"].keys():
        assert ours["rpcs"][rpc] == theirs["rpcs"][rpc]
    assert len(common) > 60
    assert {rpc.rpartition(".")[2] for rpc in ours["rpcs"].keys() & theirs["rpcs"].keys()} >= {
        "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer",
        "RepositoryModelLoad", "RepositoryModelUnload",
    }  # fmt: skip


def own_protocol() -> dict[str, Any]:
    source = "from checks import print_protocol; from lockstep.serving.grpc.open_inference_pb2 import DESCRIPTOR as d"
    command = [sys.executable, "-c", f"{source}; print_protocol(d)"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPTS), str(ROOT)])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
