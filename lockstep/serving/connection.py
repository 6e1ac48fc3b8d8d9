"""One HTTP/1.1 connection: its requests are answered one after another, and a client that is too slow is left."""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from lockstep.serving.http_answer import CLOSE, write_head
from lockstep.serving.http_reading import RequestReader, Unreadable
from lockstep.serving.http_request import Asked

# Requests that one client may send ahead; more of what it sends is not read before.
AHEAD = 16
# Longest wait for the rest of a body that nobody wants: closed at once, the answer could be lost on its way.
LINGER_S = 1.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
INTERNAL_ERROR = 500

Answer = Callable[[Any, Any], Awaitable[None]]
Told = Callable[["Connection"], None]

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


class Connection(asyncio.Protocol):
    """A connection of a client.

    Args:
        answer: Called with head and request when its turn comes; what it returns is awaited in a task.
        bounds: Of connections.
        on_begin: Told when it is open; over TLS that is after the handshake.
        on_end: Told when it is closed.
        last: Whether it is closed behind its first answer.
    """

    def __init__(
        self, answer: Answer, bounds: ConnectionBounds, *, on_begin: Told, on_end: Told, last: bool = False
    ) -> None:
        self._answer = answer
        self._bounds = bounds
        self._on_begin = on_begin
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", None)  # as long as it is not made
        self._reader = cast("RequestReader", None)
        self._current: Asked | None = None  # who is being answered
        self._ahead: deque[Asked] = deque()  # whose turn comes later
        self._task: asyncio.Task[None] | None = None
        self._lost: asyncio.Future[None] | None = None
        self._unreadable = False
        self._stopping = False
        self._last = last  # whether the next answer is the last one
        self._full = False  # of answers that the client does not take
        self._since = 0.0  # when it began to wait for a head
        self._unsent = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        tls = transport.get_extra_info("ssl_object")
        shown = tls.getpeercert(binary_form=True) if tls is not None else None
        self._reader = RequestReader(f"{host}:{port}", shown, head_bytes=self._bounds.head_bytes, on_head=self._line_up)
        self._since = self._loop.time()
        self._timer = self._loop.call_later(self._bounds.idle_s, self._look)
        self._on_begin(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Let whoever is being answered know that nobody listens."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopping = True
        self._reader.lose()
        self._ahead.clear()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        self._on_end(self)

    def lost(self) -> Awaitable[None]:
        """Return when the connection is closed."""
        if self._lost is None:
            self._lost = self._loop.create_future()
            if self._transport.is_closing():
                self._lost.set_result(None)
        return asyncio.shield(self._lost)

    def finish(self) -> None:
        """Close it behind the next answer, which says so: a request may be on its way."""
        self._last = True

    def stop(self) -> None:
        """Close it once what is being answered is answered."""
        self._stopping = True
        if self._current is None:
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self._transport.abort()

    def _look(self) -> None:
        """Leave a client that has been too slow; look again later at any other."""
        now, unsent, idle_s = self._loop.time(), self._transport.get_write_buffer_size(), self._bounds.idle_s
        stalled = unsent > 0 and unsent == self._unsent
        waits = self._current is None and not unsent
        self._unsent = unsent
        if stalled or (waits and now - self._since >= idle_s):
            self._transport.abort()
            return
        delay_s = idle_s - (now - self._since) if waits else idle_s
        self._timer = self._loop.call_later(delay_s, self._look)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._unreadable:
            return
        try:
            self._reader.feed(data)
        except Unreadable as error:
            self._refuse(error.status)
            return
        if self._reader.full or len(self._ahead) >= AHEAD:
            self._transport.pause_reading()

    def _refuse(self, status: int) -> None:
        """Answer what is no request, unless others are answered before, and close the connection."""
        self._unreadable = True
        self._ahead.clear()
        asked = self._current
        if asked is not None and not asked.body.complete:
            self.answer(asked, status, [], body=b"")
        elif asked is None and not self._transport.is_closing():
            self._transport.write(write_head(status, [], size=0, close=True, old=False))
        self._reader.lose()
        self.stop()

    def _line_up(self, asked: Asked) -> None:
        self._ahead.append(asked)
        self._begin_next()

    def _begin_next(self) -> None:
        if not self._ahead or self._current is not None or self._full or self._stopping:
            return
        asked = self._current = self._ahead.popleft()
        asked.connection = self
        asked.body.on_wanted = functools.partial(self._let_send, asked)
        self._task = self._loop.create_task(self._run(asked, self._answer(asked.head, asked)))

    async def _run(self, asked: Asked, answering: Awaitable[None]) -> None:
        try:
            await answering
        except Exception:  # noqa: BLE001 - the client gets an answer whatever happens
            _log.exception("a request could not be answered")
        if not asked.answered:
            self.answer(asked, INTERNAL_ERROR, [], body=b"")

    def _let_send(self, asked: Asked) -> None:
        """Let the client send on, now that a body is wanted."""
        if asked.expects and not self._transport.is_closing():
            asked.expects = False
            self._transport.write(CONTINUE)
        self._read_on()

    def _read_on(self) -> None:
        room = len(self._ahead) < AHEAD and not self._transport.is_closing()
        if room and not self._transport.is_reading():
            self._transport.resume_reading()

    def answer(self, asked: Asked, status: int, headers: list[tuple[str, str]], *, body: bytes) -> None:
        """Answer a request, unless it is answered already, and go on with the next.

        Raises:
            ValueError: A header holds the end of a line.
        """
        if asked.answered:
            return
        unread = not asked.body.complete
        close = asked.close or self._stopping or self._last or unread or CLOSE in headers
        head = write_head(status, headers, size=len(body), close=close, old=asked.old)
        asked.answered = True
        self._current = None
        if self._transport.is_closing():
            return
        self._transport.write(head if asked.head.method == "HEAD" else head + body)
        if unread:
            self._linger(asked)
        elif close:
            self._transport.close()
        else:
            self._since = self._loop.time()
            self._begin_next()
            self._read_on()

    def _linger(self, asked: Asked) -> None:
        """Throw away what comes of a body for a moment."""
        self._stopping = True
        self._ahead.clear()
        asked.on_end = self._transport.close
        self._read_on()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER_S, self._transport.close)

    def pause_writing(self) -> None:
        """Answer nothing more until the client has taken what is sent."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._begin_next()
