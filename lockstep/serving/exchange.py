"""One HTTP request as the server hands it over, and its reply.

The interface is RSGI (docs/spec/RSGI.md of https://github.com/emmett-framework/granian): a scope that knows the head of
the request, and a protocol that gives the body and takes the reply.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

from lockstep.serving.errors import BodyTooSlow, ClientGone, MediaTypeUnsupported, PayloadTooLarge
from lockstep.serving.trace import Trace, request_id

# Names in lower case.
Headers = tuple[tuple[str, str], ...]

JSON, CSV = "application/json", "text/csv"
PARQUET, OCTETS = "application/vnd.apache.parquet", "application/octet-stream"
UTF_8 = frozenset({"charset=utf-8", "charset=utf8", ""})


class HeaderMap(Protocol):
    """Headers of a request; names in lower case."""

    def get(self, key: str, /) -> str | None:
        """Return the value of a header."""


class Scope(Protocol):
    """The head of a request."""

    method: str
    path: str
    query_string: str
    client: str
    headers: HeaderMap


class HttpProtocol(Protocol):
    """The rest of a request, and the way back."""

    def __call__(self) -> Awaitable[bytes]:
        """Give the whole body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body in pieces."""

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


class Exchange:
    """A request: its head at hand, its body when asked for.

    Attributes:
        method, path: Of the request line; the path is decoded.
        params: Parts of the path, filled in by the router.
        trace: Of the request.
    """

    __slots__ = ("_headers", "_protocol", "_scope", "method", "params", "path", "trace")

    def __init__(self, scope: Scope, protocol: HttpProtocol) -> None:
        self._scope = scope
        self._protocol = protocol
        self._headers = scope.headers
        self.method = scope.method
        self.path = scope.path
        self.params: Mapping[str, str] = {}
        self.trace = Trace(request_id(self._headers.get("x-request-id")))

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its name in lower case."""
        return self._headers.get(name)

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the query string; of one that comes twice the last."""
        return dict(parse_qsl(self._scope.query_string, keep_blank_values=True))

    @property
    def peer(self) -> str:
        """Address of the other end."""
        return self._scope.client.rpartition(":")[0]

    async def body(self, *, limit_bytes: int, timeout_s: float) -> bytes:
        """Read the body.

        Raises:
            MediaTypeUnsupported: It is compressed.
            PayloadTooLarge: It is larger than `limit_bytes`, by its header or in fact.
            BodyTooSlow: It does not arrive in time.
            ClientGone: The connection was closed before its end.
        """
        encoding = self._headers.get("content-encoding")
        if encoding is not None and encoding.lower() != "identity":
            raise MediaTypeUnsupported("Content-Encoding", got=encoding[:40], expected="no compression")
        declared = self._headers.get("content-length")
        if declared is not None and declared.isdecimal() and int(declared) > limit_bytes:
            raise PayloadTooLarge(limit_bytes=limit_bytes)
        try:
            async with asyncio.timeout(timeout_s):
                return await (self._protocol() if declared is not None else self._pieces(limit_bytes))
        except TimeoutError as error:
            raise BodyTooSlow(timeout_s=timeout_s) from error
        except OSError as error:
            raise ClientGone from error

    async def _pieces(self, limit_bytes: int) -> bytes:
        """Read a body of undeclared length."""
        pieces, size = [], 0
        async for piece in self._protocol:
            size += len(piece)
            if size > limit_bytes:
                raise PayloadTooLarge(limit_bytes=limit_bytes)
            pieces.append(piece)
        return b"".join(pieces)

    async def gone(self) -> None:
        """Return when the client has closed the connection."""
        await self._protocol.client_disconnect()

    def send(self, reply: Reply) -> None:
        """Answer the request."""
        head = [("content-type", reply.media_type), ("x-request-id", self.trace.request_id), *reply.headers]
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
