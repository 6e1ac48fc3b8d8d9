"""Whatever way bytes come in pieces, they are the same requests, or none."""

import asyncio
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving.pipes import GET, POST, talk

CHUNKED = b"POST /c HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
HEAD = b"HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n"
ABSOLUTE = b"GET http://x:1/abs HTTP/1.1\r\nHost: x\r\n\r\n"
ALL = GET + POST + CHUNKED + HEAD + ABSOLUTE + POST


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


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Requests with bytes lost, doubled or changed."""
    data = bytearray(ALL)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(start + 20, len(data))))
        data[start:stop] = draw(
            st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"\n", b":", b"chunked"]) | st.binary(max_size=8)
        )
    return bytes(data)


@given(damaged() | st.binary(max_size=200), st.integers(1, 50))
def test_damaged_bytes_get_answers_or_an_end_and_nothing_else(data: bytes, step: int) -> None:
    pipe = asyncio.run(talk(*(data[start : start + step] for start in range(0, len(data), step))))
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", pipe.sent)
    assert set(statuses) <= {b"200", b"400", b"431", b"100"}
    assert b"500" not in statuses
    assert pipe.closing or b"400" not in statuses
