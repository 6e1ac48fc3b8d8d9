"""The three distances: their axioms on any counts, and agreement with SciPy on raw values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import ks_2samp

from lockstep.quality.divergence import (
    jensen_shannon_distance,
    ks_of_bins,
    ks_of_cumulative,
    ks_of_sketches,
    population_stability_index,
)
from lockstep.scoring.cumulative import cumulative_of
from lockstep.scoring.profile import NumericColumn, build_baseline
from lockstep.scoring.sketches import QuantileSketch

Pair = tuple[list[int], list[int]]

# Some counts of each side are above zero.
pairs = st.integers(1, 30).flatmap(
    lambda bins: st.tuples(
        *(st.lists(st.integers(0, 10**9), min_size=bins, max_size=bins).filter(any) for _ in range(2))
    )
)
triples = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(
        *(st.lists(st.integers(0, 10**6), min_size=bins, max_size=bins).filter(any) for _ in range(3))
    )
)
samples = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=150)


def sketch_of(values: np.ndarray) -> QuantileSketch:
    sketch = QuantileSketch()
    sketch.update(np.asarray(values, dtype=np.float32))
    return sketch


def exact_ks(before: list[float], now: list[float]) -> float:
    """The definition, at every value; SciPy's fails on single values while it computes a significance."""
    points = np.union1d(before, now)
    one, other = (np.searchsorted(np.sort(side), points, side="right") / len(side) for side in (before, now))
    return float(np.abs(one - other).max())


@given(pairs)
def test_jensen_shannon_is_a_bounded_symmetric_distance(histograms: Pair) -> None:
    one, other = histograms
    found = jensen_shannon_distance(one, other)
    assert 0 <= found <= 1
    assert found == pytest.approx(jensen_shannon_distance(other, one), abs=1e-12)
    assert jensen_shannon_distance(one, one) == 0


@given(triples)
def test_jensen_shannon_obeys_the_triangle_inequality(histograms: tuple[list[int], list[int], list[int]]) -> None:
    a, b, c = histograms
    there, back = jensen_shannon_distance(a, b), jensen_shannon_distance(b, c)
    assert jensen_shannon_distance(a, c) <= there + back + 1e-7


@given(pairs)
def test_jensen_shannon_equals_scipys(histograms: Pair) -> None:
    one, other = (np.asarray(counts, dtype=float) for counts in histograms)
    expected = float(distance.jensenshannon(one, other, base=2))
    # SciPy takes the root of a rounding error below zero; close to 0 the root magnifies what is left of it.
    assert jensen_shannon_distance(*histograms) == pytest.approx(
        0 if math.isnan(expected) else expected, rel=1e-6, abs=1e-6
    )


def test_jensen_shannon_of_nothing_in_common_is_one() -> None:
    assert jensen_shannon_distance([3, 0, 0], [0, 5, 1]) == pytest.approx(1)


@given(pairs)
def test_the_three_agree_on_what_is_equal(histograms: Pair) -> None:
    one, _ = histograms
    twice = [2 * count for count in one]
    assert jensen_shannon_distance(one, twice) == pytest.approx(0, abs=1e-7)
    assert ks_of_bins(one, twice).value == pytest.approx(0, abs=1e-12)
    assert population_stability_index(one, one) == 0


@given(pairs)
def test_ks_of_bins_is_bounded_and_symmetric(histograms: Pair) -> None:
    one, other = histograms
    found, back = ks_of_bins(one, other), ks_of_bins(other, one)
    assert 0 <= found.value <= found.value + found.above <= 1 + 1e-12
    assert (found.value, found.above) == pytest.approx((back.value, back.above), abs=1e-12)
    # Total variation, at least KS, is at most the Jensen-Shannon divergence allows (Lin 1991).
    total_variation = np.abs(np.divide(one, sum(one)) - np.divide(other, sum(other))).sum() / 2
    assert found.value <= total_variation + 1e-12


@given(samples, samples)
def test_the_exact_ks_lies_between_the_bounds_of_the_bins(before: list[float], now: list[float]) -> None:
    reference = build_baseline({"x": np.asarray(before, dtype=np.float64)}).columns["x"]
    assert isinstance(reference, NumericColumn)
    current = NumericColumn(edges=reference.edges)
    current.update(np.asarray(now, dtype=np.float64))
    found = ks_of_bins(reference.counts, current.counts)
    exact = exact_ks(before, now)
    assert found.value - 1e-9 <= exact <= found.value + found.above + 1e-9


@given(samples, samples)
def test_ks_of_small_sketches_is_exact(before: list[float], now: list[float]) -> None:
    one, other = sketch_of(np.asarray(before)), sketch_of(np.asarray(now))
    found = ks_of_sketches(one, other)
    assert (found.above, found.below) == (0, 0)
    assert found.value == pytest.approx(exact_ks(before, now), abs=1e-9)
    assert ks_of_sketches(other, one) == found


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.5, 3.0])
def test_ks_of_large_sketches_is_within_their_error(shift: float) -> None:
    random = np.random.default_rng(7)
    before, now = random.normal(size=60_000), random.normal(shift, 1, size=40_000)
    found = ks_of_sketches(sketch_of(before), sketch_of(now))
    exact = float(ks_2samp(before, now, method="asymp").statistic)
    assert found.value - found.below <= exact <= found.value + found.above
    assert found.above <= 0.034


@given(samples, samples)
def test_training_data_of_few_values_is_compared_exactly(before: list[float], now: list[float]) -> None:
    rounded = [np.round(np.asarray(side) / 1e5) for side in (before, now)]
    reference = cumulative_of(rounded[0])
    assert reference is not None
    assert reference.complete
    found = ks_of_cumulative(reference, sketch_of(rounded[1]))
    assert found.value == pytest.approx(exact_ks(*(list(side) for side in rounded)), abs=1e-9)
    assert (found.above, found.below) == (0, 0)


@pytest.mark.parametrize("shift", [0.0, 0.1, 2.0])
def test_training_data_of_many_values_is_compared_at_its_percentiles(shift: float) -> None:
    random = np.random.default_rng(11)
    before, now = random.normal(size=50_000), random.normal(shift, 1, size=20_000)
    reference = cumulative_of(before)
    assert reference is not None
    assert not reference.complete
    assert reference.ranks[-1] == 1
    found = ks_of_cumulative(reference, sketch_of(now))
    exact = float(ks_2samp(before, now, method="asymp").statistic)
    assert found.value - found.below <= exact <= found.value + found.above
    assert found.above <= 0.05


def test_a_merged_sketch_counts_every_value() -> None:
    random = np.random.default_rng(5)
    parts = [random.normal(size=5_000) for _ in range(6)]
    merged = QuantileSketch()
    for part in parts:
        merged.merge(sketch_of(part))
    values, ranks = merged.distribution()
    whole = np.sort(np.concatenate(parts))
    assert ranks[-1] == 1
    assert np.abs(ranks - np.searchsorted(whole, values, side="right") / len(whole)).max() <= merged.rank_error
    assert sum(merged.counts([-1.0, 0.0, 1.0])) == pytest.approx(30_000)


@given(samples, st.lists(st.floats(-1e6, 1e6, width=32), max_size=8, unique=True).map(sorted))
def test_counts_of_a_small_sketch_are_those_of_a_column(values: list[float], edges: list[float]) -> None:
    column = NumericColumn(edges=tuple(edges))
    column.update(np.asarray(values, dtype=np.float64))
    assert sketch_of(np.asarray(values)).counts(edges) == pytest.approx(column.counts, abs=1e-6)


def test_counts_of_an_empty_sketch_are_zeros() -> None:
    assert QuantileSketch().counts([1.0, 2.0]) == [0, 0, 0]


def test_no_count_has_no_shares() -> None:
    with pytest.raises(ValueError, match="without a count"):
        jensen_shannon_distance([0, 0], [1, 2])


@pytest.mark.parametrize("measure", [jensen_shannon_distance, ks_of_bins, population_stability_index])
def test_bins_must_match(measure: object) -> None:
    with pytest.raises(ValueError, match="2 and 1 bins"):
        measure([1, 2], [3])  # type: ignore[operator]
