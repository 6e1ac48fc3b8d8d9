"""The trailing reference: pooling days equals counting their rows at once, also across model versions."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.quality.drift import drift_of, trend_of
from lockstep.quality.window import pooled
from lockstep.scoring.profile import Profile, build_baseline

FIRST = build_baseline({"x": np.arange(100.0), "s": pa.array(list("aaabbc"))})
SECOND = build_baseline({"x": np.arange(50.0) * 3, "s": pa.array(list("bbccd"))})
NUMBERS = st.lists(st.integers(0, 150).map(float) | st.just(float("nan")), min_size=1, max_size=60)
DAYS = st.lists(NUMBERS, min_size=1, max_size=5)


def day_of(values: list[float], baseline: Profile = FIRST, words: str = "aabbcd") -> dict[str, Any]:
    profile = baseline.counter()
    rows = len(values)
    texts = [words[i % len(words)] for i in range(rows)]
    profile.update({"x": np.asarray(values, dtype=float), "s": pa.array(texts)}, rows=rows)
    return profile.to_json()


@given(DAYS, NUMBERS)
def test_pooled_days_are_the_days_rows_together(days: list[list[float]], now: list[float]) -> None:
    together, current = day_of([value for day in days for value in day]), day_of(now)
    pool = pooled([day_of(day) for day in days])
    assert pool["rows"] == together["rows"]
    for key in ("counts", "count", "nulls", "edges"):
        assert pool["columns"]["x"][key] == together["columns"]["x"][key]
    found, expected = (
        next((one for one in drift_of(reference, current) if one.column == "x"), None) for reference in (pool, together)
    )
    assert found == expected


@given(NUMBERS, NUMBERS, NUMBERS)
def test_other_bins_are_compared_by_sketches(before: list[float], other: list[float], now: list[float]) -> None:
    """Sketches of so few values hold them all, so the figures are those of one model's bins."""
    mixed = pooled([day_of(before), day_of(other, SECOND)])
    same = pooled([day_of(before), day_of(other)])
    current = day_of(now)
    assert mixed["columns"]["x"]["edges"] == []
    (found,), (expected,) = (
        [one for one in drift_of(reference, current, against="trailing") if one.column == "x"]
        for reference in (mixed, same)
    )
    assert found.reference == "trailing"
    assert (found.psi, found.js, found.ks) == pytest.approx((expected.psi, expected.js, expected.ks), abs=1e-5)


def test_texts_of_other_versions_keep_the_values_that_both_count() -> None:
    pool = pooled([day_of([1.0] * 6), day_of([1.0] * 6, SECOND)])["columns"]["s"]
    assert pool["counts"] == {"b": 4, "c": 2}
    assert (pool["other"], pool["count"]) == (6, 12)


def test_a_column_that_a_day_lacks_is_no_reference() -> None:
    day = day_of([1.0, 2.0])
    without = {**day, "columns": {"s": day["columns"]["s"]}}
    assert set(pooled([day, without])["columns"]) == {"s"}
    assert set(pooled([without, day])["columns"]) == {"s"}


def test_a_model_without_baseline_is_compared_by_sketches() -> None:
    counter = Profile({}).counter()
    assert counter.columns == {}
    loose = build_baseline({"x": np.array([]), "s": pa.array([], pa.string())}).counter()

    def day(values: np.ndarray, texts: list[str]) -> dict[str, Any]:
        profile = Profile(loose.counter().columns)
        profile.update({"x": values, "s": pa.array(texts)}, rows=len(values))
        return profile.to_json()

    random = np.random.default_rng(3)
    before = [day(random.normal(size=500), list("ab") * 250) for _ in range(4)]
    same = drift_of(pooled(before), day(random.normal(size=500), list("ab") * 250), against="trailing")
    moved = drift_of(pooled(before), day(random.normal(2, 1, size=500), list("bc") * 250), against="trailing")
    assert {one.column for one in same} == {one.column for one in moved} == {"x", "s"}
    assert all(one.reading == "stable" for one in same)
    assert all(one.reading == "large shift" for one in moved)
    texts = next(one for one in moved if one.column == "s")
    assert texts.ks is None
    assert texts.js == pytest.approx(np.sqrt(0.5))


def test_the_trend_has_a_point_for_each_day_also_of_other_versions() -> None:
    import datetime as dt

    days = [dt.date(2024, 1, 1) + dt.timedelta(n) for n in range(3)]
    values = list(np.arange(60.0))
    profiles = [day_of(values), day_of(values, SECOND), day_of(values)]
    (trend,) = trend_of(FIRST.to_json(), list(zip(days, profiles, strict=True)), columns=["x", "unknown"])
    assert [point.day for point in trend.points] == days
    assert trend.points[0].psi == pytest.approx(trend.points[1].psi, abs=1e-5)
    assert all(point.ks is not None for point in trend.points)
