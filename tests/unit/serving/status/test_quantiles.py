"""Quantiles lie in the bucket where the true ones are."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.metrics import STAGE_BUCKETS_S, Distribution
from lockstep.serving.status.quantiles import quantile

SECONDS = st.lists(st.floats(1e-6, 10), min_size=1, max_size=200)


@given(SECONDS, st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_it_is_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    counted = Distribution(STAGE_BUCKETS_S)
    for value in values:
        counted.observe(value)
    found = quantile(STAGE_BUCKETS_S, counted.counts, share)
    true = next(v for number, v in enumerate(sorted(values), 1) if number >= share * len(values))
    place = bisect_left(STAGE_BUCKETS_S, true)
    if place == len(STAGE_BUCKETS_S):
        assert found is None
        return
    assert found is not None
    assert (STAGE_BUCKETS_S[place - 1] if place else 0.0) <= found <= STAGE_BUCKETS_S[place]


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([10, 0, 0], 0.5, 0.5),
        ([0, 10, 0], 0.5, 1.5),
        ([5, 5, 0], 0.5, 1.0),
        ([5, 5, 0], 1.0, 2.0),
        ([0, 0, 4], 0.5, None),
        ([9, 0, 1], 0.99, None),
    ],
)
def test_it_is_on_a_line_within_the_bucket(counts: list[int], share: float, expected: float | None) -> None:
    assert quantile([1.0, 2.0], counts, share) == expected
