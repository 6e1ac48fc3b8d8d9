"""Questions to one worker of several behind a port: connections are tried until that one has taken one."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from endpoints import JSON, Endpoint

from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub

MOST_TRIES = 200
# Connections of one process that share an address are one to gRPC, unless this says otherwise.
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


def by_index(endpoint: Endpoint) -> dict[int, int]:
    """Process ids of the workers, by their number; the first one may hold the models for all."""
    found = {}
    for child in psutil.Process(endpoint.process.pid).children():
        with contextlib.suppress(psutil.Error):  # one that ended, or is a zombie still
            line = child.cmdline()
            if "serve-worker" in line:
                found[int(line[-2])] = child.pid
    return found


def has_torch(pid: int) -> bool:
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def sockets_of(pid: int) -> set[str]:
    """Paths of the Unix sockets that a process listens on or talks through."""
    found = {each.laddr for each in psutil.Process(pid).net_connections("unix")}
    return {path for path in found if isinstance(path, str) and path.endswith("owner.sock")}


@dataclass
class Worker:
    """One worker and a connection to it."""

    index: int
    pid: int
    connection: http.client.HTTPConnection

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
        """Send one request; return status, headers and body."""
        content = json.dumps(body) if isinstance(body, dict) else body
        self.connection.request("GET" if body is None else "POST", path, content, headers or (JSON if body else {}))
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()


def _peers(pid: int) -> set[int]:
    return {each.raddr.port for each in psutil.Process(pid).net_connections("tcp") if each.raddr}


@contextlib.contextmanager
def each_worker(endpoint: Endpoint, *indices: int, timeout_s: float = 20.0) -> Iterator[list[Worker]]:
    """Connect to workers, by their number."""
    pids, found = by_index(endpoint), dict[int, Worker]()
    with contextlib.ExitStack() as open_until:
        for _ in range(MOST_TRIES):
            connection = http.client.HTTPConnection(*endpoint.address, timeout=timeout_s)
            open_until.callback(connection.close)
            connection.request("GET", "/v2/health/live")
            connection.getresponse().read()
            port = connection.sock.getsockname()[1]
            index = next(number for number, pid in pids.items() if port in _peers(pid))
            if index not in indices or index in found:
                connection.close()
                continue
            found[index] = Worker(index, pids[index], connection)
            if len(found) == len(indices):
                yield [found[each] for each in indices]
                return
        raise AssertionError(f"only workers {sorted(found)} took a connection")


@contextlib.contextmanager
def each_stub(endpoint: Endpoint, port: int, *indices: int) -> Iterator[list[Any]]:
    """Connect to workers over gRPC, by their number."""
    from lockstep.serving.grpc import open_inference_pb2 as pb

    pids, found = by_index(endpoint), dict[int, Any]()
    with contextlib.ExitStack() as open_until:
        for _ in range(MOST_TRIES):
            before = {number: _taken(pid, port) for number, pid in pids.items()}
            channel = open_until.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}", options=OWN_CONNECTION))
            stub = GRPCInferenceServiceStub(channel)
            stub.ServerLive(pb.ServerLiveRequest(), timeout=20)
            index = next(number for number, pid in pids.items() if _taken(pid, port) - before[number])
            if index in indices:
                found.setdefault(index, stub)
            if len(found) == len(indices):
                yield [found[each] for each in indices]
                return
        raise AssertionError(f"only workers {sorted(found)} took a connection")


def _taken(pid: int, port: int) -> set[int]:
    connections = psutil.Process(pid).net_connections("tcp")
    return {each.raddr.port for each in connections if each.raddr and each.laddr.port == port}
