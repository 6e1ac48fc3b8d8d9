"""Trace contexts are read as the W3C has them, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.tracing.context import TraceContext, read_parent, read_state

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (GOOD, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),
        (f" \t{GOOD} ", 1),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1),
    ],
)
def test_a_parent_as_the_standard_has_it(text: str, flags: int) -> None:
    found = read_parent([text])
    assert found == TraceContext(TRACE, SPAN, flags)
    assert found.sampled == bool(flags & 1)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [GOOD, GOOD],
        [""],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-1"],
        [f"00-{TRACE}-{SPAN}-0g"],
        [f"00-{TRACE}-{SPAN}"],
        [f"{GOOD}-what"],
        [f"{GOOD}-"],
        [f"{GOOD}\n"],
        [f"cc-{TRACE}-{SPAN}-01.what"],
        [f"0-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE}0-{SPAN}-01"],
        [f"{GOOD},{GOOD}"],
    ],
)
def test_anything_else_is_no_parent(texts: list[str]) -> None:
    assert read_parent(texts) is None


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    found = read_parent([text])
    assert found is None or found.trace_id in text
    read_state([text])


@pytest.mark.parametrize(
    ("texts", "members"),
    [
        (["a=1,b=2"], (("a", "1"), ("b", "2"))),
        (["a=1", "b=2 "], (("a", "1"), ("b", "2"))),
        (["a=1 \t, ,b=x y"], (("a", "1"), ("b", "x y"))),
        (["a=1,b=2,a=3"], (("a", "1"), ("b", "2"))),
        (["t61rcwkgmz3@vendor=x"], (("t61rcwkgmz3@vendor", "x"),)),
        ([f"{'k' * 256}={'v' * 256}"], (("k" * 256, "v" * 256),)),
        ([""], ()),
        ([], ()),
        (["a"], ()),
        (["a="], ()),
        (["A=1"], ()),
        (["a=1,b=x=y"], ()),
        ([f"{'k' * 257}=1"], ()),
        ([f"a={'v' * 257}"], ()),
        ([f"{'t' * 242}@v=1"], ()),
        ([f"t@{'v' * 15}=1"], ()),
        (["a=\x7f"], ()),
    ],
)
def test_states(texts: list[str], members: tuple[tuple[str, str], ...]) -> None:
    assert read_state(texts) == members


def test_a_state_has_no_more_than_32_members() -> None:
    members = [f"k{number}=1" for number in range(33)]
    assert len(read_state([",".join(members[:32])])) == 32
    assert read_state([",".join(members)]) == ()
