import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.quality.drift import ColumnDrift, drift_of, population_stability_index, reading
from lockstep.quality.limits import drift_warnings, score_drift
from lockstep.specs.limits import Limits

pairs = st.integers(1, 30).flatmap(
    lambda bins: st.tuples(*(st.lists(st.integers(0, 10**9), min_size=bins, max_size=bins) for _ in range(2)))
)


@given(pairs)
def test_it_is_finite_symmetric_and_never_negative(histograms: tuple[list[int], list[int]]) -> None:
    before, now = histograms
    index = population_stability_index(before, now)
    assert math.isfinite(index)
    assert index >= 0
    assert index == pytest.approx(population_stability_index(now, before))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_it_is_zero_for_equal_counts(counts: list[int]) -> None:
    assert population_stability_index(counts, counts) == 0


@given(st.lists(st.integers(1000, 10**6), min_size=2, max_size=20), st.integers(2, 50))
def test_it_depends_on_shares_not_on_sizes(counts: list[int], times: int) -> None:
    assert population_stability_index(counts, [times * count for count in counts]) < 1e-4


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=2, max_size=20), st.randoms())
def test_the_order_of_bins_does_not_matter(bins: list[tuple[int, int]], random: Any) -> None:
    shuffled = list(bins)
    random.shuffle(shuffled)
    one, other = (population_stability_index([b for b, _ in x], [n for _, n in x]) for x in (bins, shuffled))
    assert one == pytest.approx(other)


def test_known_value() -> None:
    assert population_stability_index([50_000, 50_000], [60_000, 40_000]) == pytest.approx(0.0405, abs=1e-4)


def test_histograms_must_match() -> None:
    with pytest.raises(ValueError, match="2 and 1 bins"):
        population_stability_index([1, 2], [3])


@pytest.mark.parametrize(
    ("psi", "words"), [(0.0, "stable"), (0.1, "shifted"), (0.25, "large shift"), (9.0, "large shift")]
)
def test_reading(psi: float, words: str) -> None:
    assert reading(psi) == words


def numeric(counts: list[int], nulls: int = 0) -> dict[str, Any]:
    return {"kind": "numeric", "counts": counts, "nulls": nulls, "count": sum(counts)}


def categorical(counts: dict[str, int], other: int = 0) -> dict[str, Any]:
    return {"kind": "categorical", "counts": counts, "other": other, "nulls": 0, "count": sum(counts.values()) + other}


def test_profiles_are_compared_column_by_column() -> None:
    before = {
        "a": numeric([500, 500]),
        "b": categorical({"x": 900, "y": 100}),
        "gone": numeric([1]),
        "empty": numeric([0]),
    }
    now = {
        "a": numeric([0, 100], nulls=100),
        "b": categorical({"y": 100, "x": 900}),
        "empty": numeric([0]),
        "new": numeric([1]),
    }
    found = drift_of({"columns": before}, {"columns": now})
    assert [(d.column, d.kind, d.reading, d.null_percent) for d in found] == [
        ("a", "numeric", "large shift", 50.0),
        ("b", "categorical", "stable", 0.0),
    ]


def column(name: str, psi: float, *, nulls: float = 0.0) -> ColumnDrift:
    return ColumnDrift(
        column=name, kind="numeric", psi=psi, reading=reading(psi), null_percent=nulls, baseline_null_percent=5.0
    )


def test_the_score_has_a_limit() -> None:
    limits = Limits(max_drift_psi=0.5)
    assert score_drift([column("f", 9)], "score", limits) is None
    kept, broken = (score_drift([column("score", psi)], "score", limits) for psi in (0.5, 0.51))
    assert kept is not None
    assert broken is not None
    assert (kept.success, broken.success, broken.severity) == (True, False, "critical")
    assert broken.line().startswith("limits.max_drift_psi on score: got PSI 0.510 (large shift), expected at most 0.5")


def test_warnings_are_rare() -> None:
    limits = Limits(max_drift_psi=4)
    assert drift_warnings([column("score", 1.9), column("season", 6.0)], "score", limits) == []
    (near,) = drift_warnings([column("season", 6.0), column("score", 2.0)], "score", limits)
    assert near.line() == (
        "score_drift_nears_its_limit on score: got PSI 2.000; features that moved most: season (6.00), expected less "
        "than 2, half the limit (the scores are unlike those of training; look at the features that moved)"
    )
    assert drift_warnings([column("score", 4.1)], "score", limits) == []
    (empty,) = drift_warnings([column("score", 0.0), column("weather", 0.2, nulls=60.0)], "score", limits)
    assert empty.line() == (
        "feature_nulls on weather: got 60 % nulls, expected about the 5 % of training "
        "(a source of this feature may not have been loaded)"
    )
    assert {near.severity, empty.severity} == {"warning"}
