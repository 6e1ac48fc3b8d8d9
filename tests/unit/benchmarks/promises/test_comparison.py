"""The parity tool: every row is asked for once in each form, and one changed bit is found."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.promises.comparison import MOST_ROWS, Tally, draw_requests

SCORES = np.array([0.25, -0.0, 3.5])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5_000), st.integers(0, 2**32 - 1))
def test_each_row_is_asked_for_once_in_each_form(rows: int, seed: int) -> None:
    requests = draw_requests(rows, ["a", "b"], seed=seed)
    for form in ("a", "b"):
        asked = np.concatenate([places for each, places in requests if each == form])
        assert sorted(asked) == list(range(rows))
    assert all(1 <= len(places) <= MOST_ROWS for _, places in requests)
    again = draw_requests(rows, ["a", "b"], seed=seed)
    assert [form for form, _ in again] == [form for form, _ in requests]


def test_forms_take_turns_and_sizes_range_from_one_row_to_many() -> None:
    requests = draw_requests(100_000, ["a", "b"], seed=1)
    forms, sizes = [form for form, _ in requests], [len(places) for _, places in requests]
    assert sum(one != other for one, other in itertools.pairwise(forms)) > len(forms) / 4
    assert min(sizes) == 1
    assert max(sizes) > MOST_ROWS / 2


def test_equal_bits_hold() -> None:
    tally = Tally()
    tally.note(SCORES, SCORES.copy())
    assert (tally.rows, tally.requests, tally.differing_bits) == (3, 1, 0)
    assert tally.holds(3)
    assert not tally.holds(4), "a row that was never compared is no row that is equal"


def test_every_differing_bit_counts_even_the_sign_of_zero() -> None:
    tally = Tally()
    tally.note(SCORES, np.array([np.nextafter(0.25, 1), 0.0, 3.5]))
    assert (tally.differing_rows, tally.differing_bits) == (2, 2)
    assert not tally.holds(3)


def test_a_request_without_its_scores_is_a_failure() -> None:
    tally = Tally()
    tally.note(SCORES, SCORES[:2])
    for number in range(5):
        tally.fail(str(number))
    assert tally.failed == 6
    assert tally.problems == ["2 scores for 3 rows", "0", "1"]
    assert not tally.holds(0)
