"""A server as the harness sees it: a process on loopback that becomes ready, answers, and is ended with all of it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.contestant import descendants, end_all
from benchmarks.job import ROOT, SCRATCH, Job, environment
from benchmarks.serving.systems import System, filled_in

HOST = "127.0.0.1"
START_S = 180.0
END_S = 15.0
POLL_S = 0.1


class ServerFailed(Exception):
    """A server did not start."""


@dataclass(frozen=True)
class Server:
    """A server that is ready."""

    host: str
    port: int
    pid: int

    def memory_mb(self) -> float:
        """Return the memory of all its processes; pages that they share are divided among them."""
        total = 0
        for process in descendants(self.pid):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        return round(total / 2**20, 1)


@contextlib.contextmanager
def running(name: str, system: System, job: Job) -> Iterator[Server]:
    """Start a server on a free port, give it once it is ready, and end it.

    Raises:
        ServerFailed: It ended, or was not ready in time.
    """
    port, *further = free_ports(3)
    command, own = filled_in(system, job, ports=[port, *further])
    log = SCRATCH / "serving" / "logs" / f"{job.workload}-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, tempfile.TemporaryDirectory(prefix="serving-", ignore_cleanup_errors=True) as scratch:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=scratch_folder(name),
            env={**variables(system, job, own), "TMPDIR": scratch},
            start_new_session=True,
        )
        try:
            _wait_ready(process, port, system.ready, log=log)
            yield Server(HOST, port, process.pid)
        finally:
            _end(process)


def variables(system: System, job: Job, own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server: no telemetry, loopback, one thread for a model."""
    shared = {
        "MLFLOW_TRACKING_URI": job.tracking_uri,
        "BENCHMARK_JOB": job.to_json(),
        "PYTHONPATH": str(ROOT),
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    path = f"{system.python.parent}{os.pathsep}{os.environ['PATH']}"
    return environment({**shared, **own, "PATH": path})


def scratch_folder(name: str) -> Path:
    """Return a folder of a server's own to drop files in."""
    folder = SCRATCH / "serving" / "cwd" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def versions(system: System) -> str:
    """Return the versions of a system's packages in its environment."""
    code = "import sys, importlib.metadata as m; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
    command = [str(system.python), "-c", code, *system.packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind((HOST, 0))
        return [int(sock.getsockname()[1]) for sock in sockets]


def _wait_ready(process: subprocess.Popen[bytes], port: int, path: str, *, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerFailed(f"its process ended with code {process.returncode}: {_last_words(log)}")
        if _is_ready(port, path):
            return
        time.sleep(POLL_S)
    raise ServerFailed(f"not ready after {START_S:.0f} s: {_last_words(log)}")


def _is_ready(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_words(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").replace(str(ROOT), ".")
    return json.dumps(text[-600:])


def _end(process: subprocess.Popen[bytes]) -> None:
    family = descendants(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    end_all([*family, *descendants(process.pid)])
    process.wait()
