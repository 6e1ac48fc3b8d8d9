"""Listening: who is let in, how many, and under which certificate, which may change while requests run."""

import asyncio
import contextlib
import logging
import socket
import ssl

from lockstep.serving.connection import Answer, Connection, ConnectionBounds
from lockstep.serving.security.reloading import FollowedFiles
from lockstep.serving.security.tls import TlsMaterial, context_of

BACKLOG = 1024
HANDSHAKE_S = 10.0
# How soon a changed certificate is used.
LOOK_S = 0.5
# When no connection can be accepted, say because too many files are open.
PAUSE_S = 0.1
POLL_S = 0.01

_log = logging.getLogger("lockstep.serving")


def refuse(sock: socket.socket) -> None:
    """Let the system refuse connections from now on, whichever processes have the socket; on Linux."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class Listener:
    """Answers on a socket; a new connection gets the newest certificate."""

    def __init__(
        self, sock: socket.socket, answer: Answer, *, bounds: ConnectionBounds, tls: FollowedFiles[TlsMaterial] | None
    ) -> None:
        self._sock = sock
        self._answer = answer
        self._bounds = bounds
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._material: TlsMaterial | None = None
        self._open: set[Connection] = set()
        self._room = asyncio.Event()
        self._all_closed = asyncio.Event()
        self._accepting: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._greeting: set[asyncio.Task[None]] = set()
        self._leaving = False

    def start(self) -> None:
        """Take connections from now on, in the running event loop."""
        # Connections inherit it: one whose client takes nothing of an answer ends. On Linux.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._bounds.idle_s * 1000))
        self._sock.listen(BACKLOG)
        self._sock.setblocking(False)
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._use(self._tls.current)
            self._following = loop.create_task(self._follow(self._tls))
        self._accepting = loop.create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while len(self._open) + len(self._greeting) >= self._bounds.connections:
                self._room.clear()
                await self._room.wait()
            try:
                accepted, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                if self._leaving:  # the process above us took the socket away
                    return
                _log.error("no connection can be accepted: %s", error.strerror)
                await asyncio.sleep(PAUSE_S)
                continue
            self._let_in(accepted)

    def _let_in(self, accepted: socket.socket) -> None:
        greeting = asyncio.get_running_loop().create_task(self._greet(accepted))
        self._greeting.add(greeting)
        greeting.add_done_callback(self._greeting.discard)

    async def _greet(self, accepted: socket.socket) -> None:
        """Shake hands, and let the connection go on by itself."""
        loop, context = asyncio.get_running_loop(), self._context
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await loop.connect_accepted_socket(
                self._connection,
                accepted,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S if context is not None else None,
            )
        except (OSError, ssl.SSLError):  # gone already, or it does not speak TLS
            accepted.close()
        finally:
            self._room.set()

    def _connection(self) -> Connection:
        ended = self._ended
        return Connection(self._answer, self._bounds, on_begin=self._open.add, on_end=ended, last=self._leaving)

    def _ended(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._room.set()
        if not self._open:
            self._all_closed.set()

    def _use(self, material: TlsMaterial) -> None:
        """Take a certificate for new connections; those open end, since they were let in under another."""
        self._context = context_of(material)
        self._material = material
        for connection in list(self._open):
            connection.stop()

    async def _follow(self, tls: FollowedFiles[TlsMaterial]) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            newest = tls.current
            if newest is not self._material:
                self._use(newest)
                _log.info("new connections get the certificate that is valid until %s", newest.ends.isoformat())

    def leave(self) -> None:
        """Go on, but let every answer from now on be the last one of its connection."""
        self._leaving = True
        for connection in self._open:
            connection.finish()

    async def close_door(self, *, shared: bool, linger_s: float) -> None:
        """Refuse new connections, and wait until those that are open have had their last answer.

        Args:
            shared: Whether other processes listen on the socket too; whoever started us takes it away then.
            linger_s: Longest time to wait, also for connections over which nothing comes.
        """
        if not shared:
            if self._accepting is not None:
                self._accepting.cancel()
            # Who was connected by the kernel already may have sent a request.
            with contextlib.suppress(OSError):
                while True:
                    self._let_in(self._sock.accept()[0])
            refuse(self._sock)
        ends = asyncio.get_running_loop().time() + linger_s
        while (shared or self._open or self._greeting) and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(POLL_S)

    async def stop(self, *, timeout_s: float) -> None:
        """Take no new connection; close those open once they are answered, or after `timeout_s`."""
        for task in (self._accepting, self._following, *self._greeting):
            if task is not None:
                task.cancel()
        for connection in list(self._open):
            connection.stop()
        if self._open:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), timeout_s)
        for connection in list(self._open):
            connection.abort()
