"""From what comes over a connection to requests.

llhttp, through httptools, reads HTTP/1.1 (RFC 9112); it refuses what two readers could understand in two ways.
"""

from collections.abc import Callable
from typing import cast

import httptools

from lockstep.serving.http_request import Asked, Head

BAD_REQUEST, HEAD_TOO_LARGE = 400, 431


class Unreadable(Exception):
    """What came is no request; the connection cannot be read any further.

    Attributes:
        status: That says why.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestReader:
    """Reads the requests of one connection.

    Args:
        client: Address and port of the other end.
        certificate: That it showed, DER; none: it showed none.
        head_bytes: Largest head.
        on_head: Called with each request once its head is here; its body follows.
    """

    def __init__(
        self, client: str, certificate: bytes | None, *, head_bytes: int, on_head: Callable[[Asked], None]
    ) -> None:
        self._client = client
        self._certificate = certificate
        self._limit = head_bytes
        self._on_head = on_head
        self._parser = httptools.HttpRequestParser(self)
        self._asked: Asked | None = None  # whose head or body is arriving
        self._target = b""
        self._in_head = False
        self._head_bytes = self._raw_bytes = 0
        self._declined = False
        self._offered = 0  # bytes of the body of a declined request that are still to come

    @property
    def full(self) -> bool:
        """Whether more is here of a body than is taken."""
        return self._asked is not None and not self._asked.answered and self._asked.body.full

    def feed(self, data: bytes) -> None:
        """Read what has come.

        Raises:
            Unreadable: It is no request.
        """
        if self._declined:
            self._take_offered(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            raise Unreadable(HEAD_TOO_LARGE if self._head_bytes > self._limit else BAD_REQUEST) from error
        if self._in_head:
            self._raw_bytes += len(data)
            if self._raw_bytes > self._limit:
                raise Unreadable(HEAD_TOO_LARGE)

    def lose(self) -> None:
        """Note that nothing more will come."""
        if self._asked is not None:
            self._asked.body.lose()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._asked = Asked(Head(self._client, self._certificate))
        self._target = b""
        self._in_head, self._head_bytes, self._raw_bytes = True, 0, 0

    def on_url(self, url: bytes) -> None:
        """Take in the target, or a part of it."""
        self._count(len(url))
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header; those behind a body count for nothing."""
        if self._in_head and self._asked is not None:
            self._count(len(name) + len(value))
            self._asked.head.headers.add(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Hand the request on."""
        self._in_head = False
        asked, parser = cast("Asked", self._asked), self._parser
        head = asked.head
        head.method = parser.get_method().decode("latin-1")
        head.aim(self._target)
        asked.close = not parser.should_keep_alive()
        asked.old = parser.get_http_version() == "1.0"
        asked.expects = not asked.old and (head.headers.get("expect") or "").lower() == "100-continue"
        if not asked.old and "host" not in head.headers:
            raise ValueError("no Host")  # RFC 9112, 3.2
        self._on_head(asked)

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body."""
        if self._asked is not None and not self._asked.answered:
            self._asked.body.add(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if self._asked is not None and not self._parser.should_upgrade():  # of such a one no body is read
            self._asked.end()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limit:
            raise ValueError("too large a head")

    def _decline(self, rest: bytes) -> None:
        """Go on with HTTP/1.1, for one answer, with a client that offers another protocol (RFC 9110, 7.8).

        Java's client and curl offer HTTP/2 so. llhttp reads no body of such a request, so it is read here.
        """
        self._declined = True
        asked = cast("Asked", self._asked)
        asked.close = True
        if "transfer-encoding" in asked.head.headers:
            raise Unreadable(BAD_REQUEST)
        self._offered = int(asked.head.headers.get("content-length") or 0)  # llhttp has checked it
        self._take_offered(rest)

    def _take_offered(self, data: bytes) -> None:
        asked = cast("Asked", self._asked)
        if asked.body.complete:
            return
        piece = data[: self._offered]
        self._offered -= len(piece)
        if piece and not asked.answered:
            asked.body.add(piece)
        if not self._offered:
            asked.end()
