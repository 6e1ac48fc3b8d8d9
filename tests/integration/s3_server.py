"""A real store of objects that speaks S3 (SeaweedFS), on the loopback interface."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

LOOPBACK = "127.0.0.1"
READY_S = 60.0
KEY, SECRET = "lockstep-test", "lockstep-test-secret"


@dataclass(frozen=True)
class Store:
    """A running store.

    Attributes:
        url: Its endpoint.
        env: By which S3 clients find it and prove who they are.
    """

    url: str
    env: dict[str, str]


def client_env(url: str) -> dict[str, str]:
    """Return the variables by which S3 clients use a store."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def s3_server(folder: Path, *, host: str = LOOPBACK, on_host: Sequence[str] = ()) -> Iterator[Store]:
    """Start a store with one user, perhaps by a command that runs it on another host; stop it at the end."""
    program = Path(sys.executable).parent / "weed"
    if not program.is_file():
        pytest.skip("SeaweedFS is not installed: `make setup-dev`")
    folder.mkdir(parents=True, exist_ok=True)
    identity = {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    parts = ("master", "volume", "filer", "s3")
    named = [f"{part}{kind}" for part in parts for kind in (".port", ".port.grpc")]
    ports = dict(zip(named, free_ports(len(named)), strict=True))
    options = [f"-{name}={port}" for name, port in ports.items()]
    options += [f"-dir={folder}", f"-ip={host}", f"-ip.bind={host}", "-filer", "-s3", "-volume.max=64"]
    options += [f"-s3.config={folder / 's3.json'}", "-master.volumeSizeLimitMB=128"]
    # No usage report goes out, and no other service listens.
    options += ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen([*on_host, str(program), "server", *options], stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(host, ports["s3.port"], process, log=folder / "weed.log")
        url = f"http://{host}:{ports['s3.port']}"
        yield Store(url, client_env(url))
    finally:
        process.terminate()
        try:
            process.wait(1)  # it would wait longer for clients that keep their connections
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_for(host: str, port: int, process: "subprocess.Popen[bytes]", *, log: Path) -> None:
    """Wait until somebody listens, or raise what the log says."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with socket.create_connection((host, port), timeout=1):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.05)
