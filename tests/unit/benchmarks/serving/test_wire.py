import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving.wire import Broken, parse

BODIES = st.binary(max_size=300)


def plain(body: bytes, *, status: int = 200, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Some\r\nServer: x\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


def chunked(parts: list[bytes]) -> bytes:
    frames = b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in [*filter(None, parts), b""])
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + frames


@given(BODIES, st.data())
def test_an_answer_is_known_when_its_last_byte_is_there_and_not_before(body: bytes, data: st.DataObject) -> None:
    whole = plain(body)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert parse(whole[:cut]) is None
    answer = parse(whole)
    assert answer is not None
    assert (answer.status, answer.body, answer.last) == (200, body, False)


@given(st.lists(BODIES, max_size=4), st.data())
def test_chunks_are_joined(parts: list[bytes], data: st.DataObject) -> None:
    whole = chunked(parts)
    assert parse(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None
    answer = parse(whole)
    assert answer is not None
    assert answer.body == b"".join(parts)


def test_a_closing_answer_and_its_status_are_recognised() -> None:
    answer = parse(plain(b"{}", status=503, headers=b"connection:  Close\r\n"))
    assert answer is not None
    assert (answer.status, answer.last) == (503, True)


def test_an_answer_of_no_known_length_is_refused() -> None:
    with pytest.raises(Broken):
        parse(b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\n{}")
