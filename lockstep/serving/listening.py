"""Connections: how many, how slow, and under which certificate. The certificate may change while requests run."""

import asyncio
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from lockstep.serving.security.reloading import FollowedFiles
from lockstep.serving.security.tls import TlsMaterial

BACKLOG = 1024
THREADS = Path("/proc/self/task")
LOOK_S = 0.5
# Longest wait for the threads of a server that has ended.
THREADS_S, POLL_S = 0.5, 0.005
MINIMA = {"1.2": SSLProtocols.tls12, "1.3": SSLProtocols.tls13}

# Of RSGI; or an object with a method `__rsgi__` like it.
Answer = Callable[[Any, Any], Awaitable[None]]

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class ConnectionBounds:
    """Bounds of one server's connections.

    Attributes:
        connections: Open at a time; further ones wait to be accepted.
        idle_s: Longest time for the head of a request to arrive, from when the connection is open or the answer before
            was sent, and for a client to take what is sent to it.
        head_bytes: Largest head.
    """

    connections: int = 1024
    idle_s: float = 75.0
    head_bytes: int = 64 * 2**10


class BoundServer(Server):
    """Granian's server on a socket that is bound already, which its own constructor cannot be given."""

    def __init__(
        self, sock: socket.socket, app: Any, *, bounds: ConnectionBounds, tls: TlsMaterial | None = None
    ) -> None:
        host, port = sock.getsockname()[:2]
        idle_ms = int(bounds.idle_s * 1000)
        super().__init__(
            app,
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=bounds.connections,
            http1_settings=HTTP1Settings(header_read_timeout=idle_ms, max_buffer_size=bounds.head_bytes),
            log_enabled=False,
        )
        # On Linux. Connections inherit it: one whose client takes nothing of an answer ends.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, idle_ms)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        self._given = sock
        self._files: list[int] = []
        self._paths: list[str] = []
        if tls is not None:
            self._use(tls)

    def _use(self, tls: TlsMaterial) -> None:
        authorities = None if tls.authorities is None else self._file(tls.authorities)
        certificate, key = self._file(tls.certificate), self._file(tls.key)
        self.ssl_ctx: Any = (True, certificate, key, None, str(MINIMA[tls.minimum]), authorities, [], tls.required)

    def _file(self, content: bytes) -> str:
        """Return the path of a file of our own: what was tried out is used, whatever becomes of the files meanwhile."""
        if hasattr(os, "memfd_create"):  # Linux: in memory
            descriptor = os.memfd_create("lockstep")
            path = f"/proc/self/fd/{descriptor}"
        else:
            descriptor, path = tempfile.mkstemp(prefix="lockstep-tls-")  # only its owner can read it
            self._paths.append(path)
        self._files.append(descriptor)
        os.write(descriptor, content)
        return path

    def _init_shared_socket(self) -> None:
        descriptor = os.dup(self._given.fileno())  # which Granian closes
        self._shd: Any = SocketHolder(descriptor, False, BACKLOG)  # type: ignore[call-arg]

    def _drop_shared_socket(self) -> None:
        self._shd = None

    async def run(self) -> None:
        """Serve until `stop`, then until all requests in progress are answered."""
        before = _native_threads()
        try:
            await self.serve()
        finally:
            for descriptor in self._files:
                os.close(descriptor)
            for path in self._paths:
                Path(path).unlink(missing_ok=True)
        # Granian's threads end shortly after; while Python itself ends they would abort the process.
        ends = time.monotonic() + THREADS_S
        while _native_threads() - before and time.monotonic() < ends:
            await asyncio.sleep(POLL_S)


def _native_threads() -> set[int]:
    """Return the ids of all threads that Python did not start; none where the kernel does not tell."""
    if not THREADS.is_dir():
        return set()
    found = {int(path.name) for path in THREADS.iterdir()}
    return found.difference(thread.native_id for thread in threading.enumerate() if thread.native_id is not None)


class Listener:
    """Serves an application on a socket; when its certificate changes, a second server takes over.

    Both listen for a moment, so there is always one to connect to. The first answers the requests that it has, closes
    connections without one, and ends.
    """

    def __init__(
        self, sock: socket.socket, app: Any, *, bounds: ConnectionBounds, tls: FollowedFiles[TlsMaterial] | None
    ) -> None:
        self._sock = sock
        self._app = app
        self._bounds = bounds
        self._tls = tls
        self._server: BoundServer | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take connections from now on, in the running event loop."""
        material = self._tls.current if self._tls is not None else None
        self._serve(material)
        if self._tls is not None:
            self._following = asyncio.get_running_loop().create_task(self._follow(self._tls, material))

    def _serve(self, material: TlsMaterial | None) -> None:
        server = BoundServer(self._sock, self._app, bounds=self._bounds, tls=material)
        running = asyncio.get_running_loop().create_task(server.run())
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        before, self._server = self._server, server
        if before is not None:
            before.stop()  # type: ignore[no-untyped-call]

    async def _follow(self, tls: FollowedFiles[TlsMaterial], material: TlsMaterial | None) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            newest = tls.current
            if newest is material:
                continue
            try:
                self._serve(newest)
            except OSError as error:  # out of descriptors, say; the server that runs goes on
                _log.error("cannot listen with the new certificate yet: %s", error.strerror)
                continue
            material = newest
            _log.info("new connections get the certificate that is valid until %s", newest.ends.isoformat())

    async def stop(self, *, timeout_s: float) -> None:
        """Take no new connection, and wait until those open are closed, but not for longer than `timeout_s`."""
        if self._following is not None:
            self._following.cancel()
        if self._server is not None:
            self._server.stop()  # type: ignore[no-untyped-call]
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)
