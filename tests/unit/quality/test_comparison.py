"""Comparisons of two models' scores equal what plain NumPy says of the rows that both have scored."""

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import ComparisonImpossible
from lockstep.quality.comparison import MOST_SEGMENTS, Difference, Layout, Pair, compare_files, edges_of
from lockstep.quality.divergence import population_stability_index
from lockstep.run.plan import Column
from lockstep.scoring.profile import Profile
from lockstep.scoring.run_profile import run_counter

LAYOUT = Layout(("day", "id"), "score", segments=("depot",))
DAY = dt.date(2024, 1, 1)
SCORES = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32).map(float), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
ROW = st.tuples(SCORES, SCORES, st.sampled_from(["N", "S", "", None]))


def table(rows: list[tuple[int, Any, Any]], *, errors: bool = False) -> pa.Table:
    """Staged rows of (id, score, depot); without an error column only those that have a score."""
    kept = rows if errors else [row for row in rows if row[1] is not None]
    columns = {
        "day": pa.array([DAY] * len(kept), pa.date32()),
        "id": pa.array([row[0] for row in kept], pa.int64()),
        "depot": pa.array([row[2] for row in kept], pa.string()),
        "score": pa.array([row[1] for row in kept], pa.float64()),
    }
    if errors:
        columns["why"] = pa.array([None if row[1] is not None else "bad" for row in kept], pa.string())
    return pa.table(columns)


def written(root: Path, name: str, rows: pa.Table) -> Path:
    pq.write_table(rows, root / f"{name}.parquet", row_group_size=7)
    return root / f"{name}.parquet"


def compared(root: Path, units: list[list[tuple[Any, Any, Any]]], *, errors: bool, **kwargs: Any) -> Difference:
    pairs, start = [], 0
    for number, unit in enumerate(units):
        ours = [(start + i, row[0], row[2]) for i, row in enumerate(unit)]
        theirs = [(start + i, row[1], row[2]) for i, row in enumerate(unit)]
        start += len(unit)
        files = [
            written(root, f"{side}{number}", table(rows, errors=errors)) for side, rows in (("a", ours), ("b", theirs))
        ]
        pairs.append(Pair(f"u{number}", *files))
    layout = Layout(("day", "id"), "score", "why" if errors else None, ("depot",))
    return compare_files(pairs, layout, **kwargs)


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.lists(ROW, max_size=30), max_size=4),
    errors=st.booleans(),
    tolerance=st.sampled_from([0.0, 0.25, 10.0]),
    edges=st.lists(st.sampled_from([0.0, 0.25, 0.5, 100.0]), unique=True).map(sorted),
)
def test_it_says_what_pandas_says(
    units: list[list[tuple[Any, Any, Any]]], errors: bool, tolerance: float, edges: list[float]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        found = compared(Path(root), units, errors=errors, tolerance=tolerance, edges=edges)
    frame = pd.DataFrame([row for unit in units for row in unit], columns=["ours", "theirs", "depot"])
    both = frame.dropna(subset=["ours", "theirs"]).astype({"ours": float, "theirs": float})
    assert found.compared == len(both)
    if both.empty:
        assert (found.agreement, found.mean, found.largest, found.psi) == (None, None, None, None)
        return
    apart = both["theirs"] - both["ours"]
    assert found.agreement == (apart.abs() <= tolerance).mean()
    assert found.mean == pytest.approx(apart.mean(), rel=1e-9, abs=1e-9)
    assert found.largest == apart.abs().max()
    cuts = [-np.inf, *edges, np.inf]
    bins = [pd.cut(both[side], cuts).value_counts(sort=False).tolist() for side in ("ours", "theirs")]
    assert found.psi == pytest.approx(population_stability_index(*bins))
    sums = found.segments["depot"]
    assert sums is not None
    expected = both.assign(depot=both["depot"].where(both["depot"].notna(), "(null)")).groupby("depot")
    assert {("(null)" if value is None else value): one.rows for value, one in sums.items()} == dict(expected.size())
    for value, rows in expected:
        one = sums[None if value == "(null)" else value]
        assert one.champion == pytest.approx(rows["ours"].sum(), rel=1e-9, abs=1e-6)
        assert one.challenger == pytest.approx(rows["theirs"].sum(), rel=1e-9, abs=1e-6)


NUMBER, TEXT = st.one_of(st.none(), st.integers(0, 5)), st.sampled_from(["é", "", None])
KEYS = st.lists(st.tuples(NUMBER, TEXT, st.booleans(), st.booleans()), unique_by=lambda row: row[:2])


@settings(max_examples=30, deadline=None)
@given(rows=KEYS)
def test_rows_are_matched_by_keys_of_any_kind(rows: list[tuple[int | None, str | None, bool, bool]]) -> None:
    def side(which: int) -> pa.Table:
        kept = [(number, row) for number, row in enumerate(rows) if row[which]]
        return pa.table(
            {
                "a": pa.array([row[0] for _, row in kept], pa.int32()),
                "b": pa.array([row[1] for _, row in kept], pa.string()),
                "score": pa.array([float(number) for number, _ in kept], pa.float64()),
            }
        )

    with tempfile.TemporaryDirectory() as root:
        pair = Pair("u", *(written(Path(root), name, side(which)) for name, which in (("a", 2), ("b", 3))))
        found = compare_files([pair], Layout(("a", "b"), "score"), tolerance=0, edges=None)
    assert found.compared == sum(row[2] and row[3] for row in rows)
    assert found.agreed == found.compared, "each row meets itself"


def test_a_key_that_repeats_is_refused(tmp_path: Path) -> None:
    one = table([(1, 0.1, "N"), (1, 0.2, "N"), (2, 0.3, "S")])
    pair = Pair("u7", written(tmp_path, "a", one), written(tmp_path, "b", one.slice(1)))
    with pytest.raises(ComparisonImpossible, match="unit u7 cannot be compared: a key repeats"):
        compare_files([pair], LAYOUT, tolerance=0, edges=None)


def test_texts_and_tensors_agree_as_far_as_they_can(tmp_path: Path) -> None:
    def pair(ours: pa.Array, theirs: pa.Array) -> list[Pair]:
        ids = pa.array(range(len(ours)))
        files = [written(tmp_path, n, pa.table({"id": ids, "score": s})) for n, s in (("a", ours), ("b", theirs))]
        return [Pair("u", *files)]

    layout = Layout(("id",), "score")
    texts = pair(pa.array(["x", "y", None]), pa.array(["x", "z", "y"]))
    found = compare_files(texts, layout, tolerance=0.1, edges=None)
    assert (found.compared, found.agreement, found.mean, found.largest) == (2, 0.5, None, None)
    ours = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    theirs = pa.array([[1.0, 2.05], [3.5, 4.0]], pa.list_(pa.float32(), 2))
    found = compare_files(pair(ours, theirs), layout, tolerance=0.1, edges=None)
    assert (found.agreement, found.mean, found.largest) == (0.5, None, 0.5)
    with pytest.raises(ComparisonImpossible, match="scores are string and double"):
        compare_files(pair(pa.array(["x"]), pa.array([1.0])), layout, tolerance=0, edges=None)
    flags = compare_files(pair(pa.array([True, False]), pa.array([True, True])), layout, tolerance=0, edges=None)
    assert (flags.agreement, flags.mean) == (0.5, 0.5)


def test_a_column_of_many_values_is_no_split(tmp_path: Path) -> None:
    rows = [(i, 0.5, f"d{i}") for i in range(MOST_SEGMENTS + 1)]
    one = written(tmp_path, "a", table(rows))
    halves = [written(tmp_path, name, table(part)) for name, part in (("b", rows[:600]), ("c", rows[600:]))]
    for files in ([one], halves):
        found = compare_files([Pair(f.stem, f, f) for f in files], LAYOUT, tolerance=0, edges=None)
        assert found.segments == {"depot": None}
        assert found.agreement == 1


def test_edges_are_the_tenths_of_the_champions_scores() -> None:
    counter = run_counter(None, [Column(name="score", dtype="double"), Column(name="city", dtype="string")])
    counter.update({"score": pa.array(np.arange(100.0)), "city": pa.array(["x"] * 100)}, rows=100)
    profile = Profile(counter.columns).to_json()
    edges = edges_of(profile, "score")
    assert edges == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert edges_of(profile, "city") is None
    assert edges_of({}, "score") is None


@pytest.mark.parametrize("aside", [0, 1000])
def test_a_million_rows_take_a_moment(tmp_path: Path, aside: int) -> None:
    rows, random = 1_000_000, np.random.default_rng(1)
    scores = random.random(rows)
    day = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([DAY])).cast(pa.date32())
    depot = pa.array(np.array(["N", "S", "E", "W"])[random.integers(0, 4, rows)])
    one = pa.table({"day": day, "id": np.arange(rows), "depot": depot, "score": scores})
    other = one.set_column(3, "score", pa.array(np.clip(scores + 0.005, 0, 1))).slice(aside)
    pair = Pair("u", tmp_path / "a.parquet", tmp_path / "b.parquet")
    pq.write_table(one, pair.champion)
    pq.write_table(other, pair.challenger)
    clock = time.process_time()
    found = compare_files([pair], LAYOUT, tolerance=0.01, edges=[0.1 * i for i in range(1, 10)])
    seconds = time.process_time() - clock
    assert found.compared == rows - aside
    assert found.agreement == 1
    assert seconds < 5, "about a second where nothing else runs"
