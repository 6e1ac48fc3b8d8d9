"""Profiles: counting in pieces and merging equals counting at once."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lockstep.scoring.profile import NumericColumn, Profile, build_baseline

NUMBERS = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=60)
WORDS = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), min_size=1, max_size=60)
BASELINE = build_baseline({"n": np.arange(100.0), "s": pa.array(list("aabbbc"))})


def counted(numbers: list[float], words: list[str | None]) -> Profile:
    """Count both columns with the bins of the baseline."""
    profile = BASELINE.counter()
    profile.update({"n": np.asarray(numbers, dtype=float)}, rows=len(numbers))
    profile.update({"s": pa.array(words, pa.string())}, rows=0)
    return profile


@given(NUMBERS, NUMBERS, WORDS, WORDS)
def test_merge_equals_counting_at_once(
    n1: list[float], n2: list[float], s1: list[str | None], s2: list[str | None]
) -> None:
    merged = counted(n1, s1)
    merged.merge(counted(n2, s2))
    whole = counted(n1 + n2, s1 + s2)
    left, right = merged.to_json(), whole.to_json()
    for key in ("sum", "sum_sq"):  # floating sums may differ in the last bit
        a, b = left["columns"]["n"].pop(key), right["columns"]["n"].pop(key)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-3)
    for profile in (left, right):  # sketches are approximate, and not unique
        for column in profile["columns"].values():
            column.pop("sketch", None)
    assert left == right


@given(NUMBERS, WORDS)
def test_every_row_is_counted_once(numbers: list[float], words: list[str | None]) -> None:
    columns = counted(numbers, words).to_json()["columns"]
    assert sum(columns["n"]["counts"]) + columns["n"]["nulls"] == len(numbers)
    assert sum(columns["s"]["counts"].values()) + columns["s"]["other"] + columns["s"]["nulls"] == len(words)


@given(NUMBERS, WORDS)
def test_json_round_trip(numbers: list[float], words: list[str | None]) -> None:
    profile = counted(numbers, words)
    assert Profile.from_json(profile.to_json()) == profile


def test_a_bin_holds_its_upper_edge() -> None:
    column = NumericColumn(edges=(1.0, 2.0))
    column.update(np.array([0.5, 1.0, 1.5, 2.0, 2.5, np.inf]))
    assert (column.counts, column.nulls) == ([2, 2, 1], 1)


def test_a_baseline_has_deciles_and_the_commonest_values() -> None:
    numbers, words = BASELINE.columns["n"], BASELINE.columns["s"]
    assert isinstance(numbers, NumericColumn)
    assert len(numbers.edges) == 9
    assert set(numbers.counts) == {10}
    assert list(words.counts) == ["b", "a", "c"]


def test_a_constant_and_an_all_null_column() -> None:
    profile = build_baseline({"c": np.ones(5), "z": np.full(5, np.nan)})
    constant, nothing = profile.columns["c"], profile.columns["z"]
    assert isinstance(constant, NumericColumn)
    assert isinstance(nothing, NumericColumn)
    assert constant.edges == (1.0,)
    assert (nothing.min, nothing.nulls, nothing.counts) == (None, 5, [0])
