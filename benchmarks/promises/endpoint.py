"""A `lockstep serve` of its own for one promise: configured by a `serving.yaml`, over REST and gRPC on loopback."""

import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml

from benchmarks.contestant import descendants
from benchmarks.serving.server import HOST, ServerFailed, free_ports
from lockstep.run.processes import start, stop
from lockstep.serving.local_endpoint import ready_url

START_S = 180.0
POLL_S = 0.1
SHOWN = 600


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that is ready.

    Attributes:
        port: Of REST.
        grpc_port: Of gRPC.
        pid: Of its first process.
        log: File of its standard output and error.
    """

    port: int
    grpc_port: int
    pid: int
    log: Path

    def get(self, path: str) -> bytes:
        """Return the body of a page."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def described(self, model: str) -> dict[str, Any]:
        """Return what the endpoint says of a model."""
        found: dict[str, Any] = json.loads(self.get(f"/v2/models/{model}"))
        return found

    def pin(self, cores: Collection[int]) -> None:
        """Let all its threads run on these cores only, where the system can."""
        for process in descendants(self.pid):
            for thread in process.threads():
                with contextlib.suppress(AttributeError, ProcessLookupError):
                    os.sched_setaffinity(thread.id, cores)


@contextlib.contextmanager
def endpoint(config: Mapping[str, Any], folder: Path, *, variables: Mapping[str, str]) -> Iterator[Endpoint]:
    """Run an endpoint until the block ends.

    Args:
        config: Of its `serving.yaml`; ports are chosen here.
        folder: For that file and its log, made.
        variables: Of its environment.

    Raises:
        ServerFailed: It ended, or was not ready in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, log, (grpc_port,) = folder / "serving.yaml", folder / "endpoint.log", free_ports(1)
    file.write_text(yaml.safe_dump({**config, "port": 0, "grpc_port": grpc_port}), encoding="utf-8")
    command = [sys.executable, "-m", "lockstep", "serve", "--config", str(file)]
    with log.open("wb") as stream:
        process = start(command, env=variables, stream=stream)
        try:
            until = time.monotonic() + START_S
            while (url := ready_url(log)) is None:
                if process.poll() is not None or time.monotonic() > until:
                    raise ServerFailed(log.read_text(encoding="utf-8", errors="replace")[-SHOWN:])
                time.sleep(POLL_S)
            yield Endpoint(urlparse(url).port or 0, grpc_port, process.pid, log)
        finally:
            stop(process)
