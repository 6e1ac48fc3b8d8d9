"""The run's profile: its columns, its sample, its sketches."""

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.profile import CategoricalColumn, NumericColumn, Profile, build_baseline
from lockstep.scoring.run_profile import RUN_SAMPLE_ROWS, RowSample, run_counter

COLUMNS = (
    Column(name="x", dtype="double"),
    Column(name="n", dtype="long"),
    Column(name="s", dtype="string"),
    Column(name="at", dtype="datetime"),
    Column(name="v", dtype="float", shape=(3,)),
)


def test_plain_columns_are_counted_with_the_baselines_bins_where_it_has_them() -> None:
    counter = run_counter(build_baseline({"x": np.arange(10.0)}), COLUMNS)
    assert list(counter.columns) == ["x", "n", "s"]
    assert len(counter.columns["x"].edges) == 9  # type: ignore[union-attr]
    assert counter.columns["n"].edges == ()  # type: ignore[union-attr]
    assert list(run_counter(None, COLUMNS).columns) == ["x", "n", "s"]


@given(st.integers(1, 200_000), st.integers(1, 10), st.lists(st.integers(0, 200_000), max_size=6))
def test_the_sample_does_not_depend_on_the_batches(rows: int, units: int, cuts: list[int]) -> None:
    whole = RowSample("u00001", rows=rows, run_rows=units * rows).picked(0, rows)
    bounds = [0, *sorted(min(cut, rows) for cut in cuts), rows]
    parts = []
    for start, stop in itertools.pairwise(bounds):
        picked = RowSample("u00001", rows=rows, run_rows=units * rows).picked(start, stop - start)
        parts.append(np.arange(start, stop) if picked is None else picked + start)
    assert (np.arange(rows) if whole is None else whole).tolist() == np.concatenate(parts).tolist()


def test_a_small_run_is_sketched_whole_and_a_large_one_in_part() -> None:
    assert RowSample("u", rows=RUN_SAMPLE_ROWS, run_rows=RUN_SAMPLE_ROWS).picked(0, 10) is None
    rows = 10_000_000
    picked = RowSample("u", rows=rows, run_rows=rows).picked(0, rows)
    assert picked is not None
    assert RUN_SAMPLE_ROWS <= len(picked) < 1.1 * RUN_SAMPLE_ROWS
    assert len(np.unique(picked)) == len(picked)


def test_sketches_merge_over_units_and_survive_json() -> None:
    values = np.random.default_rng(3).standard_normal(40_000)
    words = pa.array(["often"] * 30_000 + [f"w{i % 500}" for i in range(10_000)])
    merged: Profile | None = None
    for start in range(0, 40_000, 10_000):
        unit = run_counter(None, COLUMNS)
        part = slice(start, start + 10_000)
        unit.update({"x": values[part], "s": words[part]}, rows=10_000)
        unit = Profile.from_json(unit.to_json())
        if merged is None:
            merged = unit
        else:
            merged.merge(unit)
    assert merged is not None
    numbers, texts = merged.columns["x"], merged.columns["s"]
    assert isinstance(numbers, NumericColumn)
    assert isinstance(texts, CategoricalColumn)
    assert numbers.sketch is not None
    assert texts.sketch is not None
    ranks = [0.01, 0.25, 0.5, 0.75, 0.99]
    for rank, quantile in zip(ranks, numbers.sketch.quantiles(ranks), strict=True):
        assert abs((values <= quantile).mean() - rank) < 0.03
    assert (numbers.count, texts.count, merged.rows) == (40_000, 40_000, 40_000)
    assert texts.sketch.top(1)[0][0] == "often"
    assert np.isclose(numbers.sum / numbers.count, values.mean())


def test_counts_and_extremes_cover_rows_that_are_not_sampled() -> None:
    profile = run_counter(None, COLUMNS)
    values = np.array([5.0, -7.0, np.nan, 1.0])
    profile.update({"x": values, "s": pa.array(["a", None, "b", "b"])}, rows=4, picked=np.array([0]))
    numbers, texts = profile.columns["x"], profile.columns["s"]
    assert (numbers.min, numbers.max, numbers.count, numbers.nulls) == (-7.0, 5.0, 3, 1)  # type: ignore[union-attr]
    numbers.settle()  # type: ignore[union-attr]
    assert numbers.counts == [1]
    assert (texts.count, texts.nulls, texts.other) == (3, 1, 1)  # type: ignore[union-attr]


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=30), st.integers(0, 9))
def test_sampled_rows_of_all_batches_are_counted_once(sizes: list[int], stride: int) -> None:
    values = np.random.default_rng(stride).standard_normal(sum(sizes)).astype(np.float32)
    values[::7] = np.nan
    profile = run_counter(build_baseline({"x": np.arange(-1.0, 1.0, 0.1)}), COLUMNS)
    start, seen = 0, []
    for rows in sizes:
        picked = np.arange(0, rows, stride) if stride else None
        batch = values[start : start + rows]
        profile.update({"x": batch}, rows=rows, picked=picked)
        seen.append(batch if picked is None else batch[picked])
        start += rows
    known = np.concatenate(seen)
    known = known[np.isfinite(known)]
    column = Profile.from_json(profile.to_json()).columns["x"]
    assert isinstance(column, NumericColumn)
    bins = np.searchsorted(np.asarray(column.edges), known, side="left")
    assert column.counts == np.bincount(bins, minlength=len(column.edges) + 1).tolist()
    assert column.count == np.isfinite(values).sum()
    if len(known):
        assert column.sketch is not None
        assert abs((known <= column.sketch.quantiles([0.5])[0]).mean() - 0.5) < 0.03 + 1 / len(known)


def test_a_sketch_takes_memory_that_is_read_only() -> None:
    counter = run_counter(None, [Column(name="x", dtype="float")])
    batch = pa.record_batch({"x": pa.array([1.0, 2.0, 3.0], pa.float32())})
    counter.update({"x": batch.column("x")}, rows=3)
    assert Profile.from_json(counter.to_json()).columns["x"].max == 3.0
