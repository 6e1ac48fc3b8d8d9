"""Clients that send or take slowly, on real connections: they hold a connection for a while, and nobody else up."""

import contextlib
import http.client
import json
import socket
import time
from typing import Any

import pytest
from guarded import LARGE_BYTES, Served, until

from lockstep.serving.connection import ConnectionBounds
from lockstep.serving.data_plane import Limits
from tests.unit.serving.toy import ROW

BODY = json.dumps({"dataframe_records": [ROW]}).encode()
LONGEST_S = 10
HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def score(port: int) -> tuple[int, float]:
    """Send a request at once; return its status and how long it took."""
    clock = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        return connection.getresponse().status, time.perf_counter() - clock


def rest_of(sock: socket.socket) -> tuple[bytes, float]:
    """Read until the other end closes; return what came and how long that took."""
    clock, found = time.perf_counter(), b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(2**20):
            assert time.perf_counter() - clock < LONGEST_S
            found += piece
    return found, time.perf_counter() - clock


@pytest.mark.parametrize(
    "length",
    [b"Content-Length: 1000\r\n\r\n", b"Content-Length: 3000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\n"],
)
def test_who_sends_a_body_slowly_takes_no_place_and_is_told_in_time(length: bytes) -> None:
    limits = Limits(in_progress=2, body_timeout_s=2)
    with Served(limits=limits) as served, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(served.connect()) for _ in range(20)]
        for each in slow:
            each.sendall(HEAD + length + b'{"d')
        until(lambda: served.plane.metrics.in_progress == len(slow))
        assert served.plane.admitted.taken == 0
        answered = [score(served.port) for _ in range(5)]
        assert {status for status, _ in answered} == {200}
        assert max(seconds for _, seconds in answered) < 1
        for each in slow:
            answer, seconds = rest_of(each)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"connection: close" in answer
            assert seconds < 4
        assert served.plane.arrivals.taken_bytes == 0


def test_one_byte_at_a_time_does_not_prolong_it() -> None:
    with Served(limits=Limits(body_timeout_s=1)) as served, served.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        began = time.perf_counter()
        with contextlib.suppress(OSError):
            while time.perf_counter() - began < 5:
                sock.sendall(b" ")
                time.sleep(0.1)
        assert time.perf_counter() - began < 4


@pytest.mark.parametrize("sent", [b"", b"GET /ping HT", b"GET /ping HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_does_not_come_closes_the_connection(sent: bytes) -> None:
    with Served(bounds=ConnectionBounds(idle_s=1)) as served, served.connect() as sock:
        sock.sendall(sent)
        answer, seconds = rest_of(sock)
        assert answer == b""
        assert 0.5 < seconds < 3


def test_a_connection_without_a_next_request_is_closed() -> None:
    with Served(bounds=ConnectionBounds(idle_s=1)) as served, served.connect() as sock:
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        answer, seconds = rest_of(sock)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert 0.5 < seconds < 3


def test_a_head_that_is_too_large_is_refused() -> None:
    with Served() as served, served.connect() as sock:
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000)
        answer, seconds = rest_of(sock)
        assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""
        assert seconds < 3


def test_who_does_not_take_its_answer_is_dropped() -> None:
    with Served(bounds=ConnectionBounds(idle_s=1)) as served, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(30)
        sock.connect(("127.0.0.1", served.port))
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(6)
        received = len(rest_of(sock)[0])
    assert received < LARGE_BYTES


def test_further_connections_wait_until_one_is_closed() -> None:
    with Served(bounds=ConnectionBounds(connections=2)) as served:
        first, second = served.connect(), served.connect()
        with first, second:
            time.sleep(0.2)
            with pytest.raises(TimeoutError):
                waiting(served)
            first.close()
            until(lambda: score(served.port)[0] == 200)


def waiting(served: Any) -> None:
    with served.connect() as sock:
        sock.settimeout(1)
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        sock.recv(1)
