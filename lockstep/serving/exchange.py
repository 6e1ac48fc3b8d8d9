"""One HTTP request as an ASGI server hands it over, and its reply. Plain ASGI, so that it costs little."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from lockstep.serving.errors import BodyTooSlow, ClientGone, MediaTypeUnsupported, PayloadTooLarge
from lockstep.serving.trace import Trace, request_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

JSON, CSV, PARQUET, OCTETS = (
    "application/json",
    "text/csv",
    "application/vnd.apache.parquet",
    "application/octet-stream",
)
UTF_8 = frozenset({"charset=utf-8", "charset=utf8", ""})


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def head(self, request: str) -> list[tuple[bytes, bytes]]:
        """Return all headers as ASGI wants them."""
        found = [
            (b"content-type", self.media_type.encode()),
            (b"content-length", b"%d" % len(self.body)),
            (b"x-request-id", request.encode()),
        ]
        found.extend((name.lower().encode(), value.encode()) for name, value in self.headers)
        return found


class Exchange:
    """A request: its head at hand, its body when asked for.

    Attributes:
        method, path: Of the request line; the path is decoded.
        params: Parts of the path, filled in by the router.
        trace: Of the request.
    """

    __slots__ = ("_headers", "_receive", "_scope", "method", "params", "path", "trace")

    def __init__(self, scope: Message, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.params: Mapping[str, str] = {}
        self.trace = Trace(request_id(self.header("x-request-id")))

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its name in lower case."""
        value = self._headers.get(name.encode())
        return value.decode("latin-1") if value is not None else None

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the query string; of one that comes twice the last."""
        return dict(parse_qsl(self._scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))

    @property
    def peer(self) -> str:
        """Address of the other end."""
        client = self._scope.get("client")
        return str(client[0]) if client else "unknown"

    async def body(self, *, limit_bytes: int, timeout_s: float) -> bytes:
        """Read the body.

        Raises:
            MediaTypeUnsupported: It is compressed.
            PayloadTooLarge: It is larger than `limit_bytes`, by its header or in fact.
            BodyTooSlow: It does not arrive in time.
            ClientGone: The connection was closed before its end.
        """
        encoding = self.header("content-encoding")
        if encoding is not None and encoding.lower() != "identity":
            raise MediaTypeUnsupported("Content-Encoding", got=encoding[:40], expected="no compression")
        declared = self.header("content-length") or "0"
        if declared.isdecimal() and int(declared) > limit_bytes:
            raise PayloadTooLarge(limit_bytes=limit_bytes)
        waits = asyncio.timeout(timeout_s)
        try:
            async with waits:
                return await self._parts(limit_bytes)
        except TimeoutError as error:
            raise BodyTooSlow(timeout_s=timeout_s) from error

    async def _parts(self, limit_bytes: int) -> bytes:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):  # nearly always
            first: bytes = message.get("body", b"")
            if len(first) > limit_bytes:
                raise PayloadTooLarge(limit_bytes=limit_bytes)
            return first
        parts, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            size += len(part)
            if size > limit_bytes:
                raise PayloadTooLarge(limit_bytes=limit_bytes)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self._receive()

    async def gone(self) -> None:
        """Return when the client has closed the connection; to be called after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


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
