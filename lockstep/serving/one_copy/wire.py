"""Frames on the socket between two workers: two lengths, a JSON header, a body of plain bytes.

Both ends run as one user from one installation, so a frame that does not fit is a bug or a broken stream: the
connection ends and is made anew. Nothing that comes is executed or unpickled.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from lockstep.serving.errors import PayloadTooLarge
from lockstep.serving.one_copy.errors import FrameInvalid

LENGTHS = struct.Struct("<II")
# Far more than the endpoint's own bounds let through; what is larger is no frame.
MOST_HEADER_BYTES = 64 * 2**20
MOST_BODY_BYTES = 2**30

Header = dict[str, Any]
Frame = tuple[Header, bytes]


def frame(header: Mapping[str, Any], parts: Sequence[bytes | memoryview] = ()) -> list[bytes | memoryview]:
    """Write a frame.

    Args:
        header: What JSON can hold.
        parts: The body, in pieces.

    Returns:
        The frame, in pieces.

    Raises:
        PayloadTooLarge: It would be larger than the other side takes.
    """
    head = orjson.dumps(header)
    size = sum([len(part) for part in parts])
    if len(head) > MOST_HEADER_BYTES or size > MOST_BODY_BYTES:
        raise PayloadTooLarge(limit_bytes=MOST_BODY_BYTES)
    return [LENGTHS.pack(len(head), size), head, *parts]


class FrameReader:
    """Puts frames together from what arrives."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Take in what arrived, and give the frames that are complete now.

        Raises:
            FrameInvalid: It is no frame; nothing that comes after can be read.
        """
        waiting = self._waiting
        waiting += data
        start = 0
        try:
            while (stop := self._end(waiting, start)) is not None:
                head, _ = LENGTHS.unpack_from(waiting, start)
                begin = start + LENGTHS.size
                with memoryview(waiting) as view:  # copied from: who keeps a view keeps the buffer from growing
                    header, body = bytes(view[begin : begin + head]), bytes(view[begin + head : stop])
                start = stop
                yield _header(header), body
        finally:
            del waiting[:start]

    @staticmethod
    def _end(waiting: bytearray, start: int) -> int | None:
        """Return where the frame ends that begins at `start`; none: not all of it is here."""
        if len(waiting) - start < LENGTHS.size:
            return None
        head, size = LENGTHS.unpack_from(waiting, start)
        if head > MOST_HEADER_BYTES or size > MOST_BODY_BYTES:
            raise FrameInvalid(f"it says to have {head} and {size} bytes")
        stop = start + LENGTHS.size + int(head) + int(size)
        return stop if len(waiting) >= stop else None


def _header(content: bytes) -> Header:
    try:
        found = orjson.loads(content)
    except ValueError as error:
        raise FrameInvalid("its header is no JSON") from error
    if not isinstance(found, dict):
        raise FrameInvalid("its header is no object")
    return found
