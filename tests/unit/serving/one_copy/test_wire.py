"""Frames between two workers: whatever is sent arrives, in whatever pieces; what is damaged is refused."""

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.errors import PayloadTooLarge
from lockstep.serving.one_copy.errors import FrameInvalid
from lockstep.serving.one_copy.wire import MOST_BODY_BYTES, FrameReader, frame

HEADERS = st.dictionaries(st.text(max_size=8), st.integers(-(2**31), 2**31) | st.text(max_size=8), max_size=4)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=64)), max_size=4), st.integers(1, 40))
def test_frames_arrive_in_whatever_pieces(sent: list[tuple[dict[str, Any], bytes]], size: int) -> None:
    stream = b"".join(b"".join(frame(header, [body])) for header, body in sent)
    reader, found = FrameReader(), []
    for start in range(0, len(stream), size):
        found += list(reader.feed(stream[start : start + size]))
    assert found == sent


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=64)), min_size=1, max_size=3), st.data())
def test_what_is_cut_off_at_any_byte_is_no_frame_until_the_rest_is_there(
    sent: list[tuple[dict[str, Any], bytes]], data: st.DataObject
) -> None:
    stream = b"".join(b"".join(frame(header, [body])) for header, body in sent)
    ends = list(itertools.accumulate(sum(map(len, frame(header, [body]))) for header, body in sent))
    cut = data.draw(st.integers(0, len(stream)))
    reader = FrameReader()
    before = list(reader.feed(stream[:cut]))
    assert before == sent[: sum(end <= cut for end in ends)]
    assert before + list(reader.feed(stream[cut:])) == sent
    assert list(reader.feed(b"")) == []


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(PayloadTooLarge):
        frame({}, [memoryview(bytes(1))] * 2 + [Huge()])  # type: ignore[list-item]


class Huge:
    """Bytes that are only said to be there."""

    def __len__(self) -> int:
        return MOST_BODY_BYTES


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack("<II", 2**32 - 1, 0),
        struct.pack("<II", 2, MOST_BODY_BYTES + 1),
        struct.pack("<II", 2, 0) + b"{]",
        struct.pack("<II", 2, 0) + b"[]",
    ],
)
def test_what_is_no_frame_is_refused(stream: bytes) -> None:
    with pytest.raises(FrameInvalid):
        list(FrameReader().feed(stream))
