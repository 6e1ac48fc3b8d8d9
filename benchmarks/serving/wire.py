"""HTTP/1.1 as cheaply as Python can: kept connections, requests as ready-made bytes, answers found by their length."""

import re
import socket
from dataclasses import dataclass

RECEIVE_BYTES = 65_536
HEAD_END = b"\r\n\r\n"
STATUS = slice(9, 12)
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
CLOSING = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)


class Broken(Exception):
    """The other side closed the connection, or does not speak HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response.

    Attributes:
        status: Of HTTP.
        head: Status line and headers.
        body: Without the frames of chunks.
        last: Whether the server will close the connection.
    """

    status: int
    head: bytes
    body: bytes
    last: bool


class Connection:
    """One kept connection with at most one request under way.

    Attributes:
        row: Which request is under way.
        since: From when its latency counts.
        busy: Whether one is under way.
    """

    __slots__ = ("_address", "_rest", "busy", "fd", "row", "since", "sock")

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.row = 0
        self.since = 0.0
        self.busy = False
        self.open()

    def open(self) -> None:
        """Connect."""
        self.sock = socket.create_connection(self._address, timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self._rest = b""

    def close(self) -> None:
        """Close."""
        self.sock.close()

    def send(self, request: bytes) -> None:
        """Send a request, or raise `Broken`."""
        try:
            sent = self.sock.send(request)
            if sent != len(request):
                self.sock.settimeout(10)
                self.sock.sendall(request[sent:])
                self.sock.setblocking(False)
        except OSError as error:
            raise Broken from error

    def receive(self) -> Answer | None:
        """Take in what has come; return the answer once it is whole.

        Raises:
            Broken: No answer will come.
        """
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Broken from error
        if not data:
            raise Broken
        if self._rest:
            data = self._rest + data
        answer = parse(data)
        self._rest = b"" if answer else data
        return answer


def parse(data: bytes) -> Answer | None:
    """Read one response; none while it is not whole.

    Raises:
        Broken: It says neither its length nor that it comes in chunks.
    """
    end = data.find(HEAD_END)
    if end < 0:
        return None
    head, start = data[: end + 2], end + 4
    if match := LENGTH.search(head):
        stop = start + int(match[1])
        if len(data) < stop:
            return None
        body = data[start:stop]
    elif CHUNKED.search(head):
        parts = _join_chunks(data, start)
        if parts is None:
            return None
        body = parts
    else:
        raise Broken
    return Answer(int(data[STATUS]), head, body, CLOSING.search(head) is not None)


def _join_chunks(data: bytes, start: int) -> bytes | None:
    parts: list[bytes] = []
    while (line_end := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line_end].split(b";")[0], 16)
        start, stop = line_end + 2, line_end + 2 + size
        if len(data) < stop + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(data[start:stop])
        start = stop + 2
    return None
