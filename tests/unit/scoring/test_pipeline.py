"""Overlapping stages: order, bounds, and errors that end everything."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.scoring.pipeline import Behind, ahead, in_channels


def threads() -> int:
    return sum(t.name.startswith(("read-ahead", "write-behind", "channel")) for t in threading.enumerate())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers()), st.integers(0, 3), st.integers(1, 4))
def test_all_items_in_order(items: list[int], depth: int, channels: int) -> None:
    written: list[int] = []
    with Behind(written.append, depth=depth) as behind:
        for item, double in in_channels(lambda x: x * 2, ahead(iter(items), depth=depth), channels=channels):
            assert double == item * 2
            behind.put(item)
    assert written == items
    assert threads() == 0


def test_reading_goes_no_further_ahead_than_told() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    items = ahead(source(), depth=2)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(made) <= 4, "one taken, two waiting, one in the hand"
    items.close()  # type: ignore[attr-defined]
    assert threads() == 0


def test_an_error_of_the_source_comes_after_its_items() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    items = ahead(source(), depth=2)
    assert next(items) == 1
    with pytest.raises(OSError, match="gone"):
        next(items)
    assert threads() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_an_error_of_a_channel_ends_it(channels: int) -> None:
    def fails(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    items = in_channels(fails, range(10), channels=channels)
    assert [next(items)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(items)
    assert threads() == 0


def test_an_error_of_the_writer_reaches_the_producer() -> None:
    def fails(item: int) -> None:
        raise OSError("full")

    def produce() -> None:
        with Behind(fails, depth=1) as behind:
            for item in range(50):
                behind.put(item)

    with pytest.raises(OSError, match="full"):
        produce()
    assert threads() == 0


def test_the_writer_ends_when_the_body_fails() -> None:
    def body() -> None:
        with Behind(lambda _: None, depth=1) as behind:
            behind.put(1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        body()
    assert threads() == 0


def test_channels_work_at_the_same_time() -> None:
    meet = threading.Barrier(2, timeout=10)

    def wait(item: int) -> int:
        meet.wait()
        return item

    assert [item for item, _ in in_channels(wait, range(4), channels=2)] == [0, 1, 2, 3]


def test_without_depth_everything_happens_in_this_thread() -> None:
    written: list[int] = []
    with Behind(written.append, depth=0) as behind:
        for item in ahead(iter(range(3)), depth=0):
            assert threads() == 0
            behind.put(item)
            assert written[-1] == item
    with Behind([].remove, depth=0) as behind, pytest.raises(ValueError, match="not in list"):
        behind.put(1)
