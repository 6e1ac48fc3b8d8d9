"""Connections without a socket: turns, bodies that wait, and clients that are too slow."""

import asyncio
from typing import Any

from lockstep.serving.connection import AHEAD
from lockstep.serving.http_request import HELD_BYTES
from tests.unit.serving.pipes import GET, POST, connected, pieces, refuse, settled, talk


def test_what_was_asked_before_nonsense_is_answered() -> None:
    pipe = asyncio.run(talk(GET + b"nonsense\r\n\r\n"))
    assert pipe.sent.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close" in pipe.sent
    assert pipe.closing


def test_the_answer_behind_which_a_connection_ends_says_so_and_none_is_ended_before_it() -> None:
    async def run() -> None:
        connection, pipe = await connected()
        connection.data_received(GET)
        await settled()
        assert b"connection: close" not in pipe.sent
        connection.finish()
        await settled()
        assert not pipe.closing  # the next request may be on its way
        connection.data_received(GET + GET)
        await settled()
        assert pipe.sent.count(b"HTTP/1.1 200 OK") == 2
        assert pipe.sent.count(b"connection: close") == 1
        assert pipe.closing

    asyncio.run(run())


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
