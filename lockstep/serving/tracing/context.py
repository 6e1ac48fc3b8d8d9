"""W3C Trace Context as a client sends it: https://www.w3.org/TR/trace-context/. What does not fit is not there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PARENT, STATE = "traceparent", "tracestate"
BLANKS = " \t"
SAMPLED = 0x01
# Flags that a version 00 knows: sampled, and that the trace id is random. Others are not handed on.
KNOWN_FLAGS = 0x03
MEMBERS = 32

# A later version may say more behind another dash; what it says up to there is read as version 00 has it.
_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_KEY = re.compile(r"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}")
_VALUE = re.compile(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")

Members = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The span of a client, within which it asks.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 of them.
        flags: Those that are known.
    """

    trace_id: str
    span_id: str
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether the client's span is recorded."""
        return bool(self.flags & SAMPLED)


def read_parent(headers: Sequence[str]) -> TraceContext | None:
    """Read `traceparent`.

    Args:
        headers: The values of all headers of that name.

    Returns:
        None when there is none, more than one, or one that is not as the standard has it.
    """
    if len(headers) != 1:
        return None
    found = _PARENT.fullmatch(headers[0].strip(BLANKS))
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"] is not None):
        return None
    if not found["trace"].strip("0") or not found["span"].strip("0"):
        return None
    return TraceContext(found["trace"], found["span"], int(found["flags"], 16) & KNOWN_FLAGS)


def read_state(headers: Sequence[str]) -> Members:
    """Read `tracestate`.

    Args:
        headers: The values of all headers of that name, in their order.

    Returns:
        Keys and values; of a key that comes twice the first. Nothing when a member is not as the standard has it, or
        there are more than 32.
    """
    members: dict[str, str] = {}
    texts = [text.strip(BLANKS) for text in ",".join(headers).split(",")]
    for text in filter(None, texts):
        key, _, value = text.partition("=")
        if _KEY.fullmatch(key) is None or _VALUE.fullmatch(value) is None:
            return ()
        members.setdefault(key, value)
    return tuple(members.items()) if sum(map(bool, texts)) <= MEMBERS else ()
