"""Connections without a socket: whatever way bytes come in pieces, the same answers go back."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.connection import AHEAD, Connection, ConnectionBounds
from lockstep.serving.http_request import HELD_BYTES

GET = b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
HEAD = b"HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n"
ABSOLUTE = b"GET http://x:1/abs HTTP/1.1\r\nHost: x\r\n\r\n"
ALL = GET + POST + CHUNKED + HEAD + ABSOLUTE + POST

Handler = Callable[[Any, Any], Awaitable[None]]


class Pipe(asyncio.Transport):
    """A transport into memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.sent = b""
        self.held = 0
        self.reading = True
        self.closing = False
        self.aborted = False
        self.protocol: asyncio.Protocol | None = None

    def write(self, data: Any) -> None:
        assert not self.closing
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.held

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(cast("asyncio.Protocol", self.protocol).connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


async def echo(head: Any, asked: Any) -> None:
    """Answer with what was asked."""
    body = await asked()
    said = f"{head.method} {head.path} {head.query_string} {head.client} ".encode()
    asked.response_bytes(200, [("x", "y")], said + body)


async def pieces(_: Any, asked: Any) -> None:
    asked.response_bytes(200, [], b"".join([piece async for piece in asked]))


async def refuse(_: Any, asked: Any) -> None:
    asked.response_bytes(401, [], b"no")


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def connected(handler: Handler = echo, **bounds: Any) -> tuple[Connection, Pipe]:
    pipe = Pipe()
    connection = Connection(handler, ConnectionBounds(**bounds), on_begin=lambda _: None, on_end=lambda _: None)
    pipe.protocol = connection
    connection.connection_made(pipe)
    return connection, pipe


async def talk(*sent: bytes, handler: Handler = echo, **bounds: Any) -> Pipe:
    connection, pipe = await connected(handler, **bounds)
    for data in sent:
        connection.data_received(data)
        await settled()
    return pipe


def undated(sent: bytes) -> bytes:
    return re.sub(rb"date: [^\r]*", b"", sent)


@given(st.lists(st.integers(1, len(ALL) - 1), max_size=8))
def test_the_pieces_in_which_bytes_come_change_nothing(cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(ALL)]
    parts = [ALL[start:stop] for start, stop in itertools.pairwise(places)]
    whole, cut = asyncio.run(talk(ALL)), asyncio.run(talk(*parts))
    assert undated(cut.sent) == undated(whole.sent)
    who = b"192.0.2.7:4711 "
    assert b"GET /a b c=d " + who in cut.sent
    assert b"POST /c  " + who + b"abcde" in cut.sent
    assert b"GET /abs  " + who in cut.sent
    assert cut.sent.count(b"HTTP/1.1 200 OK\r\n") == 6
    assert not cut.closing


def test_the_answer_to_head_has_no_body() -> None:
    sent = asyncio.run(talk(HEAD)).sent
    assert sent.endswith(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(b"HEAD /h  192.0.2.7:4711 ") in sent


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/3.7\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_400_and_the_end(data: bytes) -> None:
    pipe = asyncio.run(talk(data))
    assert pipe.sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert pipe.sent.count(b"HTTP/1.1") == 1
    assert pipe.closing


def test_what_was_asked_before_nonsense_is_answered() -> None:
    pipe = asyncio.run(talk(GET + b"nonsense\r\n\r\n"))
    assert pipe.sent.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close" in pipe.sent
    assert pipe.closing


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 2000,
    ],
)
def test_a_head_that_is_too_large_is_431(data: bytes) -> None:
    for parts in ([data], [data[start : start + 100] for start in range(0, len(data), 100)]):
        pipe = asyncio.run(talk(*parts, head_bytes=1000))
        assert pipe.sent.startswith(b"HTTP/1.1 431 ")
        assert pipe.closing


def test_http_1_0_stays_open_only_when_asked_to() -> None:
    assert asyncio.run(talk(b"GET / HTTP/1.0\r\n\r\n")).closing
    pipe = asyncio.run(talk(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
    assert b"connection: keep-alive\r\n" in pipe.sent
    assert not pipe.closing
    assert asyncio.run(talk(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).closing


def test_a_client_that_offers_another_protocol_gets_this_one() -> None:
    head = POST.removesuffix(b"\r\n\r\nhello") + b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    for parts in ([head + b"hello"], [head, b"he", b"llo"], [head + b"hel", b"lo"]):
        pipe = asyncio.run(talk(*parts))
        assert pipe.sent.endswith(b"POST /p  192.0.2.7:4711 hello")
        assert pipe.closing


def test_who_expects_it_is_told_to_send() -> None:
    head = POST.removesuffix(b"hello").replace(b"Host: x", b"Host: x\r\nExpect: 100-continue")
    assert asyncio.run(talk(head)).sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert b"100 Continue" not in asyncio.run(talk(head, handler=refuse)).sent
    whole = asyncio.run(talk(head, b"hello")).sent
    assert whole.endswith(b"hello")


def test_a_body_that_nobody_wants_ends_the_connection_with_the_answer() -> None:
    async def run() -> None:
        connection, pipe = await connected(refuse)
        connection.data_received(POST[:-2])
        await settled()
        assert b"401 Unauthorized" in pipe.sent
        assert b"connection: close" in pipe.sent
        assert not pipe.closing  # an answer is lost when more comes over a closed connection
        connection.data_received(POST[-2:] + GET)
        await settled()
        assert pipe.closing
        assert pipe.sent.count(b"HTTP/1.1") == 1

    asyncio.run(run())


def test_a_sender_waits_for_who_takes_its_body() -> None:
    async def run() -> None:
        started, go = asyncio.Event(), asyncio.Event()

        async def late(head: Any, asked: Any) -> None:
            started.set()
            await go.wait()
            await pieces(head, asked)

        connection, pipe = await connected(late)
        size = 3 * HELD_BYTES
        connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while pipe.reading and left:
            connection.data_received(b"a" * 65_536)
            left -= 65_536
        assert left > HELD_BYTES
        go.set()
        while left:
            await settled()
            assert pipe.reading
            connection.data_received(b"a" * 65_536)
            left -= 65_536
        await settled()
        assert pipe.sent.endswith(b"a" * size)

    asyncio.run(run())


def test_requests_that_are_sent_ahead_wait_their_turn_and_more_are_not_read() -> None:
    async def run() -> None:
        running: list[Any] = []

        async def hold(_: Any, asked: Any) -> None:
            running.append(asked)

            await asked.client_disconnect()

        connection, pipe = await connected(hold)
        connection.data_received(GET * (AHEAD + 1))
        await settled()
        assert len(running) == 1
        assert not pipe.reading
        running[0].response_bytes(200, [], b"")
        await settled()
        assert len(running) == 2
        assert pipe.reading
        pipe.close()
        await settled()
        assert len(running) == 2

    asyncio.run(run())


def test_a_body_whose_sender_is_gone_is_no_body() -> None:
    async def run() -> None:
        failed: list[Exception] = []

        async def read(_: Any, asked: Any) -> None:
            try:
                await asked()
            except OSError as error:
                failed.append(error)

        connection, pipe = await connected(read)
        connection.data_received(POST[:-1])
        await settled()
        pipe.close()
        await settled()
        assert len(failed) == 1
        assert not pipe.sent

    asyncio.run(run())


def test_a_handler_that_fails_is_500_and_its_client_is_told() -> None:
    async def fail(_head: Any, _asked: Any) -> None:
        raise RuntimeError("secret")

    sent = asyncio.run(talk(GET, handler=fail)).sent
    assert sent.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"secret" not in sent


def test_no_header_can_hold_the_end_of_a_line() -> None:
    async def split(_: Any, asked: Any) -> None:
        asked.response_bytes(200, [("x", "a\r\nset-cookie: b")], b"")

    sent = asyncio.run(talk(GET, handler=split)).sent
    assert b"set-cookie" not in sent
    assert sent.startswith(b"HTTP/1.1 500 ")


def test_an_answer_is_the_last_when_the_connection_is_to_stop() -> None:
    async def run() -> None:
        go = asyncio.Event()

        async def late(_: Any, asked: Any) -> None:
            await go.wait()
            asked.response_bytes(200, [], b"done")

        connection, pipe = await connected(late)
        connection.data_received(GET)
        await settled()
        connection.stop()
        assert not pipe.closing
        go.set()
        await settled()
        assert pipe.sent.endswith(b"done")
        assert b"connection: close" in pipe.sent
        assert pipe.closing
        idle, other = await connected()
        idle.stop()
        assert other.closing

    asyncio.run(run())


def test_who_takes_nothing_gets_nothing_more_and_is_left() -> None:
    async def run() -> None:
        connection, pipe = await connected(idle_s=0.05)
        connection.pause_writing()
        connection.data_received(GET)
        await settled()
        assert not pipe.sent
        pipe.held = 100
        await asyncio.sleep(0.2)
        assert pipe.aborted
        slow, other = await connected(idle_s=0.05)
        slow.pause_writing()
        slow.data_received(GET)
        slow.resume_writing()
        await settled()
        assert other.sent

    asyncio.run(run())


def test_who_sends_nothing_is_left() -> None:
    async def run() -> None:
        connection, pipe = await connected(idle_s=0.05)
        connection.data_received(GET)
        await settled()
        assert not pipe.closing
        connection.data_received(b"GET / HT")
        await asyncio.sleep(0.2)
        assert pipe.closing

    asyncio.run(run())
