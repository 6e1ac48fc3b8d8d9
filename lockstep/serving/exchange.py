"""One HTTP request as the connection hands it over, and its reply.

The interface is close to RSGI (docs/spec/RSGI.md of https://github.com/emmett-framework/granian): a scope that knows
the head of the request, and a protocol that gives the body and takes the reply.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from lockstep.serving.errors import BodyTooSlow, ClientGone, MediaTypeUnsupported, Overloaded, PayloadTooLarge
from lockstep.serving.trace import Trace, request_id

if TYPE_CHECKING:
    from lockstep.serving.security.permits import Permit

# Names in lower case.
Headers = tuple[tuple[str, str], ...]

JSON, CSV = "application/json", "text/csv"
PARQUET, OCTETS = "application/vnd.apache.parquet", "application/octet-stream"
# Larger bodies, and those of undeclared length, are counted while they arrive.
SMALL_BODY_BYTES = 2**20
UTF_8 = frozenset({"charset=utf-8", "charset=utf8", ""})


class HeaderMap(Protocol):
    """Headers of a request; names in lower case."""

    def __contains__(self, key: str, /) -> bool:
        """Return whether there is such a header."""

    def get(self, key: str, /) -> str | None:
        """Return the value of a header."""

    def get_all(self, key: str, /) -> list[str]:
        """Return the values of all headers of a name."""


class Scope(Protocol):
    """The head of a request."""

    method: str
    path: str
    query_string: str
    client: str
    certificate: bytes | None
    headers: HeaderMap


class HttpProtocol(Protocol):
    """The rest of a request, and the way back."""

    def __call__(self) -> Awaitable[bytes]:
        """Give the whole body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body in pieces."""

    def arrived(self) -> bytes | None:
        """Give the whole body, if it is all here already."""

    def client_disconnect(self) -> Awaitable[None]:
        """Return when the client has closed the connection."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes, /) -> None:
        """Answer."""


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Headers = ()


class Arrivals:
    """Bytes of large bodies that are still arriving, of all requests together.

    A body takes room for what has come of it, not for what it declares, so that who sends nothing takes none.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.taken_bytes = 0

    def take(self, size: int) -> None:
        """Take room for a piece of a body, or raise `Overloaded`."""
        if self.taken_bytes + size > self._limit_bytes:
            raise Overloaded(f"{self.taken_bytes} bytes of large bodies are arriving already", retry_after_s=1)
        self.taken_bytes += size

    def give_back(self, size: int) -> None:
        """Give the room of a body back."""
        self.taken_bytes -= size


class Exchange:
    """A request: its head at hand, its body when asked for.

    Attributes:
        method, path: Of the request line; the path is decoded.
        headers: By their names in lower case.
        params: Parts of the path, filled in by the router.
        permit: What the client may do; none: it was not asked who it is, since what it wants is open to all.
        trace: Of the request.
    """

    __slots__ = ("_protocol", "_scope", "_unread", "headers", "method", "params", "path", "permit", "trace")

    def __init__(self, scope: Scope, protocol: HttpProtocol) -> None:
        self._scope = scope
        self._protocol = protocol
        self._unread = False
        self.headers = scope.headers
        self.method = scope.method
        self.path = scope.path
        self.params: Mapping[str, str] = {}
        self.permit: Permit | None = None
        self.trace = Trace(request_id(self.headers.get("x-request-id")))

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its name in lower case."""
        return self.headers.get(name)

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the query string; of one that comes twice the last."""
        return dict(parse_qsl(self._scope.query_string, keep_blank_values=True))

    @property
    def peer(self) -> str:
        """Address of the other end."""
        return self._scope.client.rpartition(":")[0]

    @property
    def certificate(self) -> bytes | None:
        """The client's certificate, DER; none: it showed none."""
        return self._scope.certificate

    async def body(self, arrivals: Arrivals, *, limit_bytes: int, timeout_s: float) -> bytes:
        """Read the body.

        Raises:
            MediaTypeUnsupported: It is compressed.
            PayloadTooLarge: It is larger than `limit_bytes`, by its header or in fact.
            BodyTooSlow: It does not arrive in time.
            Overloaded: Too many large bodies are arriving.
            ClientGone: The connection was closed before its end.
        """
        self._unread = True
        encoding = self.headers.get("content-encoding")
        if encoding is not None and encoding.lower() != "identity":
            raise MediaTypeUnsupported("Content-Encoding", got=encoding[:40], expected="no compression")
        declared = self.headers.get("content-length")
        size = int(declared) if declared is not None and declared.isdecimal() else None
        if size is not None and size > limit_bytes:
            raise PayloadTooLarge(limit_bytes=limit_bytes)
        arrived = self._protocol.arrived()
        if arrived is not None:
            return self._read(arrived, limit_bytes=limit_bytes)
        small = size is not None and size <= SMALL_BODY_BYTES
        try:
            async with asyncio.timeout(timeout_s):
                body = await (self._protocol() if small else self._pieces(arrivals, limit_bytes))
        except TimeoutError as error:
            raise BodyTooSlow(timeout_s=timeout_s) from error
        except OSError as error:
            raise ClientGone from error
        if size is not None and len(body) != size:
            raise ClientGone
        return self._read(body, limit_bytes=limit_bytes)

    def _read(self, body: bytes, *, limit_bytes: int) -> bytes:
        self._unread = False
        if len(body) > limit_bytes:
            raise PayloadTooLarge(limit_bytes=limit_bytes)
        return body

    async def _pieces(self, arrivals: Arrivals, limit_bytes: int) -> bytes:
        """Read a large body, or one of undeclared length."""
        pieces, size = [], 0
        try:
            async for piece in self._protocol:
                arrivals.take(len(piece))
                size += len(piece)
                if size > limit_bytes:
                    raise PayloadTooLarge(limit_bytes=limit_bytes)
                pieces.append(piece)
        finally:
            arrivals.give_back(size)
        return b"".join(pieces)

    async def gone(self) -> None:
        """Return when the client has closed the connection."""
        await self._protocol.client_disconnect()

    def send(self, reply: Reply) -> None:
        """Answer the request."""
        head = [("content-type", reply.media_type), ("x-request-id", self.trace.request_id), *reply.headers]
        if self._unread:
            head.append(("connection", "close"))
        self._protocol.response_bytes(reply.status, head, reply.body)


@dataclass(frozen=True)
class Accepted:
    """Media types that an edge reads, each with what reads it."""

    readers: Mapping[str, Any]
    default: str | None = None

    def reader(self, header: str | None) -> Any:
        """Pick the reader of a Content-Type header.

        Raises:
            MediaTypeUnsupported: Another media type, another charset than UTF-8, or another parameter.
        """
        found = self.readers.get(header or self.default or "")
        if found is not None:
            return found
        text = header or self.default or ""
        kind, *parameters = (part.strip() for part in text.split(";"))
        found = self.readers.get(kind.lower())
        if found is None or not UTF_8.issuperset(p.replace('"', "").lower() for p in parameters):
            expected = " or ".join(self.readers) + ", with no parameter but charset=utf-8"
            raise MediaTypeUnsupported("Content-Type", got=text[:80], expected=expected)
        return found
