"""The server process: a socket taken before anything slow, and a stop that lets running requests finish."""

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from lockstep.serving.errors import PortUnavailable
from lockstep.serving.exchange import App

GRACE_S = 30
# Longer than the idle time of usual connection pools, so that the client closes first.
KEEP_ALIVE_S = 75
BACKLOG = 1024

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


class Server(uvicorn.Server):
    """uvicorn's server; a stop signal is an ordinary end (uvicorn raises it again once it has stopped)."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM while the server runs; a second SIGINT does not wait."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where once connections are accepted."""
        await super().startup(sockets)
        for sock in sockets or ():
            _log.info("ready on %s", url_of(sock))


def build_server(app: App) -> Server:
    """Build the server of an application; run it with `server.run(sockets=[sock])`."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    return Server(config)
