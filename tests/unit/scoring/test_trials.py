"""Comparing one block size with another."""

import time

import numpy as np
import pytest

from lockstep.scoring.backends import Arrays
from lockstep.scoring.trials import Outcome, Reference, compare, filled, rows_per_s, same_bits

BASE = 4


def by_row(arrays: Arrays) -> Arrays:
    """Depends on the row alone."""
    return (np.cos(arrays[0].sum(axis=1)), arrays[0][:, :2].copy())


def sample(rows: int) -> Arrays:
    return (np.random.default_rng(0).standard_normal((rows, 3)),)


@pytest.mark.parametrize("size", [1, 2, 8, 16])
def test_rows_that_agree_are_counted_as_far_as_the_sample_has_them(size: int) -> None:
    known = Reference(by_row, sample(37), BASE)
    assert compare(by_row, known, size, base=BASE, rows=20) == Outcome(20 // max(size, BASE) * max(size, BASE))
    assert compare(by_row, known, size, base=BASE, rows=1_000).rows == 37 // max(size, BASE) * max(size, BASE)
    assert compare(by_row, known, size, base=BASE, rows=1).rows == max(size, BASE)
    assert compare(by_row, known, size, base=BASE, rows=8, after=32).rows == (37 - 32) // max(size, BASE) * max(
        size, BASE
    )
    late = compare(by_row, known, size, base=BASE, rows=37, ends=time.monotonic() - 1)
    assert late == Outcome(max(size, BASE)), "one block at least"


@pytest.mark.parametrize(("place", "is_rare"), [(slice(6, 7), True), (slice(0, 8), False)])
def test_the_share_that_differs_says_whether_it_is_rare(place: slice, *, is_rare: bool) -> None:
    def off(arrays: Arrays) -> Arrays:
        values, copies = by_row(arrays)
        copies[place] = np.nextafter(copies[place], np.inf)
        return values, copies

    seen = compare(off, Reference(by_row, sample(32), BASE), 8, base=BASE, rows=32)
    assert not seen.agrees
    assert seen.is_rare == is_rare
    assert seen.differing == (0.125 if is_rare else 1.0)


def test_a_place_that_no_value_shows_in_one_order_is_found_in_the_other() -> None:
    rows = sample(8)
    rows[0][7] = 0.0

    def off(arrays: Arrays) -> Arrays:
        values, copies = by_row(arrays)
        copies[7] *= 1.5  # of zeros nothing
        return values, copies

    assert not compare(off, Reference(by_row, rows, BASE), 8, base=BASE, rows=8).agrees


def test_the_base_is_scored_once() -> None:
    asked: list[int] = []

    def run(arrays: Arrays) -> Arrays:
        asked.append(len(arrays[0]))
        return by_row(arrays)

    known = Reference(run, sample(16), BASE)
    for size in (1, 8, 16):
        assert compare(by_row, known, size, base=BASE, rows=16).agrees
    assert asked == [BASE] * 4


def test_speed_is_taken_from_all_over_the_sample() -> None:
    seen: set[float] = set()

    def run(arrays: Arrays) -> Arrays:
        seen.add(float(arrays[0][0, 0]))
        return by_row(arrays)

    assert rows_per_s(run, filled(sample(3), 8), 2) > 0
    assert len(seen) > 1


def test_other_results_and_objects_differ_too() -> None:
    assert not compare(
        lambda a: (a[0],), Reference(lambda a: (a[0].astype("f4"),), sample(4), 4), 2, base=4, rows=4
    ).agrees

    def texts(arrays: Arrays) -> Arrays:
        return (np.array([str(row[0]) for row in arrays[0]], dtype=object),)

    assert compare(texts, Reference(texts, sample(8), BASE), 8, base=BASE, rows=8).agrees
    wrong = compare(lambda a: (texts(a)[0] + "!",), Reference(texts, sample(8), BASE), 8, base=BASE, rows=8)
    assert wrong.differing == 1


def test_same_bits_tells_zeros_and_nans_apart() -> None:
    one = (np.array([0.0, np.nan]),)
    assert same_bits(one, (np.array([0.0, np.nan]),))
    assert not same_bits(one, (np.array([-0.0, np.nan]),))
    assert not same_bits(one, (np.array([0.0, np.nan], dtype=np.float32),))
    assert same_bits((np.array(["a", None], dtype=object),), (np.array(["a", None], dtype=object),))
