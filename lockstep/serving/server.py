"""The server process: a socket taken before anything slow, and a stop that lets running requests finish."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from lockstep.serving.app import Application
from lockstep.serving.errors import PortUnavailable
from lockstep.serving.grpc.server import GrpcServer

GRACE_S = 30.0
BACKLOG = 1024
# For calls that are in progress still when a second signal comes.
HURRIED_S = 0.0
# For the head of a request, and for an idle connection; longer than usual connection pools keep one.
HEADER_TIMEOUT_MS = 75_000
LARGEST_HEAD_BYTES = 64 * 2**10

_log = logging.getLogger("lockstep.serving")


def bind(host: str, port: int) -> socket.socket:
    """Take a listening address; nobody can connect before the server listens.

    Args:
        host: Address or name.
        port: Port; 0 takes any free one.

    Raises:
        PortUnavailable: The address is in use or cannot be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortUnavailable(host, port, reason=error.strerror or str(error)) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, OverflowError) as error:
        sock.close()
        raise PortUnavailable(host, port, reason=getattr(error, "strerror", None) or str(error)) from error
    return sock


def url_of(sock: socket.socket) -> str:
    """Return the base URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class BoundServer(Server):
    """Granian's server on a socket that is bound already, which its own constructor cannot be given."""

    def __init__(self, sock: socket.socket, app: Application) -> None:
        host, port = sock.getsockname()[:2]
        super().__init__(
            app,
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=LARGEST_HEAD_BYTES),
            log_enabled=False,
        )
        self._given = sock

    def _init_shared_socket(self) -> None:
        self._given.listen(BACKLOG)
        self._given.setblocking(False)
        descriptor = os.dup(self._given.fileno())  # which Granian closes
        self._shd: Any = SocketHolder(descriptor, False, BACKLOG)  # type: ignore[call-arg]

    def _drop_shared_socket(self) -> None:
        self._shd = None


async def serve(
    sock: socket.socket,
    app: Application,
    *,
    grpc: Callable[[], GrpcServer] | None = None,
    grace_s: float = GRACE_S,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish; a second signal does not wait.

    Args:
        sock: From `bind`.
        app: Started with the server and closed after its last request.
        grpc: Builds the gRPC server beside it; none: there is none.
        grace_s: Longest time to wait for running requests.
        ready: Called once requests are taken.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = BoundServer(sock, app)
    called = grpc() if grpc is not None else None
    if called is not None:
        await called.start()
        _log.info("ready for gRPC on port %d", called.port)
    app.start()
    running = loop.create_task(server.serve())
    _log.info("ready on %s", url_of(sock))
    if ready is not None:
        ready()
    await stop.wait()
    stop.clear()
    drained = loop.create_task(app.drain(grace_s=grace_s))
    hurried = loop.create_task(stop.wait())
    await asyncio.wait({drained, hurried}, return_when=asyncio.FIRST_COMPLETED)
    if called is not None:
        await called.stop(HURRIED_S if hurried.done() else grace_s)
    server.stop()  # type: ignore[no-untyped-call]
    hurried.cancel()
    await running
    app.close()
