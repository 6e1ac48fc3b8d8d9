"""One HTTP request as it arrives: its head, its body, and the way back; see `exchange` for who reads it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from lockstep.serving.connection import Connection

# Of a body that nobody has asked for yet, or that is taken piece by piece: more stays with the sender.
HELD_BYTES = 256 * 2**10


class HeaderFields:
    """Headers by their names in lower case; of one that comes twice, `get` returns the first."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    def add(self, name: str, value: str) -> None:
        """Take a header in."""
        self._values.setdefault(name, []).append(value)

    def __contains__(self, key: str, /) -> bool:
        """Return whether there is such a header."""
        return key in self._values

    def get(self, key: str, /) -> str | None:
        """Return the value of a header; none: it is not there, or not ASCII."""
        values = self._values.get(key)
        return values[0] if values is not None and values[0].isascii() else None

    def get_all(self, key: str, /) -> list[str]:
        """Return the values of all headers of a name, but for those that are not ASCII."""
        return [value for value in self._values.get(key, ()) if value.isascii()]


class Body:
    """The body of one request: whole, or in pieces as they come.

    Attributes:
        on_wanted: Called when it is asked for, and whenever there is room for more of it.
    """

    __slots__ = ("_ended", "_gone", "_pieces", "_size", "_waiter", "_whole", "on_wanted")

    def __init__(self) -> None:
        self.on_wanted: Callable[[], None] | None = None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._gone = False
        self._whole = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def complete(self) -> bool:
        """Whether its end has come."""
        return self._ended

    @property
    def full(self) -> bool:
        """Whether the sender has to wait, until what is here is taken."""
        return self._size > HELD_BYTES and not self._whole

    def add(self, piece: bytes) -> None:
        """Take a piece in."""
        self._pieces.append(piece)
        self._size += len(piece)
        if not self._whole:
            self._wake()

    def end(self) -> None:
        """Note that this is all."""
        self._ended = True
        self._wake()

    def lose(self) -> None:
        """Note that the rest will never come."""
        self._gone = True
        self._wake()

    def arrived(self) -> bytes | None:
        """Return the whole body when it is here; none: it is not."""
        if not self._ended:
            return None
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ConnectionError: The connection was closed before its end.
        """
        self._whole = True
        if not self._ended:
            self._want()
        while not self._ended:
            await self._next()
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body in pieces; raises like `read`."""
        while self._pieces or not self._ended:
            if not self._pieces:
                self._want()
                await self._next()
                continue
            piece = self._pieces.popleft()
            self._size -= len(piece)
            yield piece

    def _want(self) -> None:
        if self.on_wanted is not None:
            self.on_wanted()

    async def _next(self) -> None:
        """Wait until something has come."""
        self._require_sender()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        self._require_sender()

    def _require_sender(self) -> None:
        if self._gone and not self._ended:
            raise ConnectionError

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Head:
    """The head of a request.

    Attributes:
        method: In capitals.
        path, query_string: Of the target; the path is decoded.
        client: Address and port of the other end.
        certificate: That it showed, DER; none: it showed none.
        headers: By name.
    """

    __slots__ = ("certificate", "client", "headers", "method", "path", "query_string")

    def __init__(self, client: str, certificate: bytes | None = None) -> None:
        self.client = client
        self.certificate = certificate
        self.method = ""
        self.path = ""
        self.query_string = ""
        self.headers = HeaderFields()

    def aim(self, target: bytes) -> None:
        """Take in the target of the request line: `/path?query`, or the same after a scheme and an authority."""
        if not target.startswith(b"/") and b"://" in target:
            target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
        path, _, query = target.partition(b"?")
        self.path = (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace")
        self.query_string = query.decode("latin-1")


class Asked:
    """A request; see `exchange.HttpProtocol`.

    Attributes:
        head, body: Of it.
        connection: Over which it came, once its turn has come.
        answered: Whether it is.
        close: Whether its answer is the last one over the connection.
        old: Whether it is of HTTP/1.0.
        expects: Whether its client waits for `100 Continue` before it sends the body.
        on_end: Called when the request is complete, if it was answered before.
    """

    __slots__ = ("answered", "body", "close", "connection", "expects", "head", "old", "on_end")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.body = Body()
        self.connection: Connection | None = None
        self.answered = False
        self.close = False
        self.old = False
        self.expects = False
        self.on_end: Callable[[], None] | None = None

    def end(self) -> None:
        """Note that it is complete."""
        self.body.end()
        if self.on_end is not None:
            self.on_end()

    def __call__(self) -> Awaitable[bytes]:
        """Give the whole body."""
        return self.body.read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body in pieces."""
        return self.body.pieces()

    def arrived(self) -> bytes | None:
        """Give the whole body, if it is all here already."""
        return self.body.arrived()

    def client_disconnect(self) -> Awaitable[None]:
        """Return when the client has closed the connection."""
        return cast("Connection", self.connection).lost()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes, /) -> None:
        """Answer."""
        cast("Connection", self.connection).answer(self, status, headers, body=body)
