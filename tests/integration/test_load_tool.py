"""The benchmark's load tool against servers that misbehave in known ways."""

import base64
import contextlib
import itertools
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.serving.load import Measured, Order, obey

REQUESTS = [b"POST /score HTTP/1.1\r\nContent-Length: 1\r\n\r\n%d" % row for row in range(4)]
Respond = Callable[[int, int], tuple[float, bytes]]


def right(row: int) -> bytes:
    return answer(b'{"score":%d}' % row)


def answer(body: bytes, *, status: int = 200, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


@contextmanager
def serving(respond: Respond) -> Iterator[int]:
    """Serve on loopback: `respond` gets the number of the request and its row, and gives a delay and bytes.

    Requests are answered one after the other, as by one model; no bytes close the connection.
    """
    numbers, lane, stop = itertools.count(1), threading.Lock(), threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while head := self.request.recv(4096):
                    with lane:
                        delay_s, content = respond(next(numbers), int(head[-1:]))
                        stop.wait(delay_s)
                    self.request.sendall(content)
                    if not content or b"connection: close" in content:
                        return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            stop.set()
            server.shutdown()
            thread.join()


def load(port: int, *, clients: int = 2, seconds: float = 0.5, rate: float | None = None) -> Measured:
    order = Order(
        host="127.0.0.1",
        port=port,
        requests=[base64.b64encode(request).decode() for request in REQUESTS],
        expected=[0.0, 1.0, 2.0, 3.0],
        reader="plain",
        tolerance=1e-6,
        clients=clients,
        seconds=seconds,
        warm_s=0.1,
        rate=rate,
    )
    return obey(order)


def test_closed_loop_counts_right_answers_and_their_latency() -> None:
    with serving(lambda _, row: (0.005, right(row))) as port:
        seen = load(port, clients=1)
    assert seen.errors == {}
    assert seen.p50_ms is not None
    assert seen.p50_ms >= 5
    assert seen.rps == pytest.approx(1000 / seen.p50_ms, rel=0.5)


def test_each_failure_is_counted_as_what_it_is() -> None:
    def respond(count: int, row: int) -> tuple[float, bytes]:
        kinds = [
            right(row),
            right(row + 1),
            answer(b"{}", status=500),
            b"",
            answer(b"?", headers=b"connection: close\r\n"),
        ]
        return 0.001, kinds[count % 5]

    with serving(respond) as port:
        seen = load(port)
    assert seen.errors.keys() == {"wrong answer", "status 500", "connection closed"}
    assert seen.errors["wrong answer"] == pytest.approx(2 * seen.errors["status 500"], abs=3)
    assert seen.answers == pytest.approx(seen.errors["status 500"], abs=3)


def test_open_loop_sends_at_the_rate_asked_for() -> None:
    with serving(lambda _, row: (0.0, right(row))) as port:
        seen = load(port, rate=300, seconds=1.0)
    assert seen.errors == {}
    assert seen.rps == pytest.approx(300, rel=0.2)
    assert seen.p50_ms is not None
    assert seen.p50_ms < 20


def test_open_loop_counts_a_stall_for_all_who_would_have_come_meanwhile() -> None:
    """One stall of 0.4 s: a tool that waits for its answers would see one slow request, this one sees two in five."""

    def respond(count: int, row: int) -> tuple[float, bytes]:
        return (0.4 if count == 60 else 0.0), right(row)

    with serving(respond) as port:
        seen = load(port, rate=200, seconds=1.0, clients=4)
    assert seen.errors == {}
    assert seen.p99_ms is not None
    assert seen.p99_ms > 300
    with serving(respond) as port:
        patient = load(port, clients=1, seconds=1.0)
    assert patient.p99_ms is not None
    assert patient.p99_ms < 300


def test_a_server_that_never_answers_is_given_up() -> None:
    began = time.monotonic()
    with serving(lambda count, row: ((60.0 if count > 20 else 0.0), right(row))) as port:
        seen = load(port, rate=100, seconds=0.5)
    assert seen.errors["no answer"] > 10
    assert time.monotonic() - began < 30
