"""What waits is bounded, what is dropped is counted, and a request is drawn as a whole."""

import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.scoring.arms import Split
from lockstep.serving.inference_log.hand_over import SALT, HandOver, is_picked
from tests.unit.serving.inference_log.micro_batches import layout, micro_batch, trace

LAYOUT = layout()
EVER = float("inf")


@given(
    sizes=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), max_size=12),
    takes=st.lists(st.integers(0, 3), max_size=12),
    most_rows=st.integers(1, 20),
)
@settings(deadline=None, max_examples=50)
def test_no_more_waits_than_may_and_every_row_is_taken_or_counted(
    sizes: list[list[int]], takes: list[int], most_rows: int
) -> None:
    dropped: list[int] = []
    hand_over = HandOver(most_rows=most_rows, most_bytes=10**9, sample=1, on_dropped=dropped.append)
    taken = 0
    for number, batch in enumerate(sizes):
        hand_over.put(LAYOUT, micro_batch([(trace(f"{number}-{n}"), 0, size) for n, size in enumerate(batch)]))
        assert hand_over.waiting_rows <= most_rows
        if number < len(takes):
            entries = hand_over.take(until=EVER, most_requests=takes[number])
            taken += sum(entry.size for entry in entries)
            hand_over.done(entries)
    entries = hand_over.take(until=EVER, most_requests=10**9)
    hand_over.done(entries)
    assert taken + sum(entry.size for entry in entries) + sum(dropped) == sum(map(sum, sizes))
    assert (hand_over.waiting_rows, hand_over.waiting_bytes) == (0, 0)


def test_bytes_are_bounded_too() -> None:
    dropped: list[int] = []
    hand_over = HandOver(most_rows=10**9, most_bytes=10_000, sample=1, on_dropped=dropped.append)
    for number in range(20):
        hand_over.put(LAYOUT, micro_batch([(trace(str(number)), 0, 3)]))
        assert hand_over.waiting_bytes <= 10_000
    assert dropped
    assert hand_over.waiting_rows + sum(dropped) == 60


def test_the_writer_is_called_before_all_room_is_taken() -> None:
    hand_over = HandOver(most_rows=20, most_bytes=10**9, sample=1)
    hand_over.put(LAYOUT, micro_batch([(trace("a"), 0, 5)]))
    assert not hand_over.wanted.is_set()
    hand_over.put(LAYOUT, micro_batch([(trace("b"), 0, 1)]))
    assert hand_over.wanted.is_set()
    assert hand_over.presses


def test_only_what_was_left_before_a_moment_is_taken() -> None:
    hand_over = HandOver(most_rows=100, most_bytes=10**9, sample=1)
    hand_over.put(LAYOUT, micro_batch([(trace("a"), 0, 1)]))
    between = time.perf_counter()
    hand_over.put(LAYOUT, micro_batch([(trace("b"), 0, 1)]))
    assert [e.labels[0].request_id for e in hand_over.take(until=between, most_requests=9)] == ["a"]  # type: ignore[attr-defined]
    assert [e.labels[0].request_id for e in hand_over.take(until=EVER, most_requests=9)] == ["b"]  # type: ignore[attr-defined]


def test_a_request_is_drawn_as_a_whole_and_as_a_table_would_be_split() -> None:
    names = [f"request-{number}" for number in range(4000)]
    positions = Split(SALT, ("request_id",)).positions(pa.table({"request_id": names}))
    for sample in (0.01, 0.1, 0.5):
        drawn = np.array([is_picked(name, sample) for name in names])
        assert (drawn == (positions < sample)).all()
        assert drawn.mean() == pytest.approx(sample, abs=4 * (sample / 4000) ** 0.5)


def test_of_a_sample_only_the_drawn_rows_are_logged_and_counted_when_they_are_dropped() -> None:
    names = [f"r{number}" for number in range(200)]
    drawn = [name for name in names if is_picked(name, 0.2)]
    dropped: list[int] = []
    hand_over = HandOver(most_rows=10**6, most_bytes=10**9, sample=0.2, on_dropped=dropped.append)
    hand_over.put(LAYOUT, micro_batch([(trace(name), 0, 2) for name in names]))
    [entry] = hand_over.take(until=EVER, most_requests=1)
    assert [label.request_id for label in entry.labels if label is not None] == drawn  # type: ignore[attr-defined]
    assert entry.logged_rows == 2 * len(drawn)
    full = HandOver(most_rows=1, most_bytes=10**9, sample=0.2, on_dropped=dropped.append)
    full.put(LAYOUT, micro_batch([(trace(name), 0, 2) for name in names]))
    assert dropped == [2 * len(drawn)]
    undrawn = next(name for name in names if name not in drawn)
    full.put(LAYOUT, micro_batch([(trace(undrawn), 0, 2)]))
    assert dropped == [2 * len(drawn)]
    assert full.waiting_rows == 0


def test_two_threads_agree_on_what_waits() -> None:
    hand_over = HandOver(most_rows=10**9, most_bytes=10**12, sample=1)
    scored = [micro_batch([(trace(str(n)), 0, n % 4)]) for n in range(500)]
    rows, ended = [0], threading.Event()

    def write() -> None:
        while True:
            last = ended.is_set()
            entries = hand_over.take(until=EVER, most_requests=7)
            rows[0] += sum(entry.size for entry in entries)
            hand_over.done(entries)
            if last and not entries:
                return

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(20):
        for each in scored:
            hand_over.put(LAYOUT, each)
    ended.set()
    writer.join(30)
    assert rows[0] == 20 * sum(n % 4 for n in range(500))
    assert (hand_over.waiting_rows, hand_over.waiting_bytes) == (0, 0)
