"""A real nginx or Envoy in front of replicas, as `lockstep gateway` writes its configuration."""

import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from endpoints import Endpoint, serving
from world import ROOT, World

from lockstep.serving.gateway.envoy import render_envoy
from lockstep.serving.gateway.facts import gateway_facts
from lockstep.serving.gateway.nginx import render_nginx
from lockstep.specs.serving_spec import load_serving

sys.path.insert(0, str(ROOT))

from tools.gateway import ENVOY_REMEDY, NGINX_REMEDY, find_envoy, find_nginx

KINDS = ("nginx", "envoy")
START_S = 20.0
RENDER = {"nginx": render_nginx, "envoy": render_envoy}


def program(kind: str) -> Path:
    """Return the program, or skip the test."""
    found = {"nginx": find_nginx, "envoy": find_envoy}[kind](os.environ)
    if found is None:
        pytest.skip({"nginx": NGINX_REMEDY, "envoy": ENVOY_REMEDY}[kind])
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses, and that no connection is given while a replica is started again."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


def command(kind: str, configuration: Path, folder: Path, *more: str) -> list[str]:
    """Return how the program is started in a folder of its own, or only checks its configuration."""
    start = str(program(kind))
    if kind == "nginx":
        # Folders of tests are their owner's alone.
        owner = ["-g", "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"]
        return [start, "-p", str(folder), "-c", str(configuration), "-e", "stderr", *owner, *more]
    return [
        start,
        "-c",
        str(configuration),
        "--concurrency",
        "2",
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        "100",
        *more,
    ]


def checked(kind: str, configuration: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Let the program check its configuration."""
    more = ["-t"] if kind == "nginx" else ["--mode", "validate"]
    whole = command(kind, configuration, folder, *more)
    return subprocess.run(whole, cwd=configuration.parent, capture_output=True, text=True, timeout=30, check=False)


@dataclass
class Gateway:
    """A running gateway.

    Attributes:
        process: Of it.
        port, grpc_port: Where it listens.
        log: Its access log.
        said: What it says of itself.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    grpc_port: int
    log: Path
    said: Path

    @property
    def endpoint(self) -> Endpoint:
        """The gateway, as the other helpers know endpoints."""
        return Endpoint(self.process, f"http://127.0.0.1:{self.port}", self.said)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def lines(self) -> list[dict[str, Any]]:
        """Read the access log; every line of it is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def logged(self, request_id: str) -> dict[str, Any]:
        """Wait for the line of a request."""
        deadline = time.monotonic() + 10
        while not (found := [line for line in self.lines() if line["id"] == request_id]):
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.05)
        (line,) = found
        return line


@contextlib.contextmanager
def gateway(kind: str, config: Path, replicas: Sequence[str], folder: Path) -> Iterator[Gateway]:
    """Run a gateway of a serving.yaml until the block ends."""
    loaded = load_serving(config)
    assert loaded.gateway is not None
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in RENDER[kind](gateway_facts(loaded, replicas, config=config, output=folder)).items():
        (folder / name).write_text(text)
    configuration = next(folder.glob(f"{kind}.*"))
    said, log = folder / "said.log", folder / "access.log"
    with said.open("wb") as stream:
        process = subprocess.Popen(command(kind, configuration, folder), cwd=folder, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", loaded.gateway.port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < deadline, said.read_text()
                time.sleep(0.05)
        yield Gateway(process, loaded.gateway.port, loaded.gateway.grpc_port, log, said)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Replicas:
    """Running replicas, each with ports that it keeps.

    Attributes:
        world: Of the models.
        ports: Pairs of ports, of REST and gRPC.
        running: The endpoints, by place.
    """

    world: World
    ports: list[tuple[int, int]]
    stack: contextlib.ExitStack
    running: dict[int, Endpoint] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}:{grpc_port}" for port, grpc_port in self.ports]

    def start(self, place: int, config: Path) -> Endpoint:
        port, grpc_port = self.ports[place]
        args = ("--config", str(config), "--port", str(port), "--grpc-port", str(grpc_port))
        self.running[place] = self.stack.enter_context(serving(self.world, *args, spec=None))
        return self.running[place]


@contextlib.contextmanager
def replicas(world: World, config: Path, count: int) -> Iterator[Replicas]:
    """Run replicas of a serving.yaml until the block ends."""
    ports = free_ports(2 * count)
    with contextlib.ExitStack() as stack:
        found = Replicas(world, list(zip(ports[::2], ports[1::2], strict=True)), stack)
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda place: found.start(place, config), range(count)))
        yield found


def own_channel(target: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.Channel:
    """Open a connection that is shared with nobody, and over which nothing is repeated."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)


def ask(gate: Gateway, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    """Send one request in plain text; return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
