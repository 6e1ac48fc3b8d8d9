"""The server process: a socket taken before anything slow, and a stop that lets running requests finish."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable

from lockstep.serving.app import Application
from lockstep.serving.connection import ConnectionBounds
from lockstep.serving.errors import PortUnavailable
from lockstep.serving.grpc.server import GrpcServer
from lockstep.serving.listening import Listener

GRACE_S = 30.0
BOUNDS = ConnectionBounds()
# For answers that are written but not sent yet, once all requests are answered.
FLUSH_S = 5.0
# For who is connected when the door closes, and whose request is on its way.
LINGER_S = 1.0
# For calls that are in progress still when a second signal comes.
HURRIED_S = 0.0
# For how long a busy event loop keeps the interpreter from the thread that scores, which asks for it again and again.
SWITCH_S = 0.0005

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


def url_of(sock: socket.socket, *, tls: bool = False) -> str:
    """Return the base URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http{'s' if tls else ''}://" + (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


async def serve(
    sock: socket.socket,
    app: Application,
    *,
    grpc: Callable[[], GrpcServer] | None = None,
    drain_s: float = 0.0,
    grace_s: float = GRACE_S,
    bounds: ConnectionBounds = BOUNDS,
    shared: bool = False,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish; a second signal does not wait.

    With `drain_s` a stop is one that costs nobody a request: first readiness fails, and answers end their connections;
    then new connections are refused; and only when nobody is connected any more requests are.

    Args:
        sock: From `bind`.
        app: Started with the server and closed after its last request.
        grpc: Builds the gRPC server beside it; none: there is none.
        drain_s: How long it goes on when it stops, for others to turn away; 0: requests are refused at once.
        grace_s: Longest time to wait for running requests.
        bounds: Of its connections.
        shared: Whether other processes listen on the socket too.
        ready: Called once requests are taken.
    """
    sys.setswitchinterval(SWITCH_S)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tls = app.security.tls if app.security is not None else None
    listener = Listener(sock, app, bounds=bounds, tls=tls)
    called = grpc() if grpc is not None else None
    if called is not None:
        await called.start()
        _log.info("ready for gRPC on port %d", called.port)
    app.start()
    # What is loaded by now stays: without this every full collection looks through all of it, and stops the event loop.
    gc.collect()
    gc.freeze()
    listener.start()
    _log.info("ready on %s", url_of(sock, tls=tls is not None))
    if ready is not None:
        ready()
    await stop.wait()
    stop.clear()
    drained = loop.create_task(_drain(app, listener, called, drain_s=drain_s, grace_s=grace_s, shared=shared))
    hurried = loop.create_task(stop.wait())
    await asyncio.wait({drained, hurried}, return_when=asyncio.FIRST_COMPLETED)
    if called is not None:
        await called.stop(HURRIED_S if hurried.done() else grace_s)
    drained.cancel()
    hurried.cancel()
    await listener.stop(timeout_s=FLUSH_S)
    app.close()


async def _drain(
    app: Application, listener: Listener, called: GrpcServer | None, *, drain_s: float, grace_s: float, shared: bool
) -> None:
    """Let go of all clients, and return when nothing is in progress."""
    if drain_s:
        app.plane.draining = True
        listener.leave()
        _log.info("stopping: not ready any more, and no new connections in %g s", drain_s)
        await asyncio.sleep(drain_s)
        aged = asyncio.create_task(called.close_door()) if called is not None else None
        await listener.close_door(shared=shared, linger_s=LINGER_S)
        if aged is not None:
            await aged
    await app.drain(grace_s=grace_s)
