"""Logged rows become the batch's input, and what it makes of them is compared in every bit."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import InputError
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.manifest import Manifest, UnitResult
from lockstep.scoring.outputs import arrow_array
from lockstep.serving.inference_log.comparison import ReplayReport, compare
from lockstep.serving.inference_log.errors import NothingReplayable, ReplayUnfit
from lockstep.serving.inference_log.layout import Layout
from lockstep.serving.inference_log.reading import LogFile, find_files, grouped
from lockstep.serving.inference_log.replay import Replay, draw, prepare
from tests.unit.serving.inference_log.micro_batches import SCORER, layout, row
from tests.unit.serving.inference_log.test_reading import put
from tests.unit.serving.toy import OUTPUTS, SIGNATURE

DAY = dt.date(2026, 11, 5)
Change = tuple[int, float]


@given(sizes=st.lists(st.integers(0, 30), max_size=8), rows=st.one_of(st.none(), st.integers(1, 100)))
def test_as_many_rows_are_drawn_as_are_wanted_and_each_is_there(sizes: list[int], rows: int | None) -> None:
    files = [LogFile(Path(str(number)), layout(), size) for number, size in enumerate(sizes)]
    drawn = draw(files, rows)
    assert sum(map(len, drawn.values())) == min(sum(sizes), rows or sum(sizes))
    for file in files:
        places = drawn[file.path].tolist()
        assert places == sorted(set(places))
        assert all(0 <= place < file.rows for place in places)
    again = draw(files, rows)
    assert all((again[path] == places).all() for path, places in drawn.items())


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    files = [LogFile(Path("a"), layout(), 10), LogFile(Path("b"), layout(), 30)]
    counts = np.zeros(40)
    for seed in range(2000):
        drawn = draw(files, 4, seed=seed)
        counts[drawn[Path("a")]] += 1
        counts[10 + drawn[Path("b")]] += 1
    assert counts.sum() == 8000
    assert (abs(counts - 200) < 70).all()


def prepared(root: Path, rows: int | None = None, *, changed: Layout | None = None) -> Replay:
    put(root / "log", "a", changed, rows=12)
    put(root / "log", "b", changed, rows=9)
    [group] = grouped(find_files(root / "log"))
    return prepare(group, draw(group.files, rows), root / "replay", day=DAY, timeout_s=60)


def scored(replay: Replay, root: Path, *, without: tuple[int, ...] = (), change: Change | None = None) -> RunFolder:
    """Score the table of a replay as a unit of the batch does: staged rows in no order, none for bad rows."""
    table = pa.concat_tables(pq.read_table(file) for file in sorted((root / "replay" / "rows").iterdir()))
    [batch] = table.combine_chunks().to_batches()
    scores = SCORER.score(batch)
    values = scores.values.copy()
    if change is not None:
        values[change[0]] += change[1]
    good = [n for n in range(batch.num_rows) if n not in scores.reasons and n not in without][::-1]
    staged = pa.table(
        {
            replay.number: batch.column(replay.number).take(pa.array(good, pa.int64())),
            "probability": arrow_array(OUTPUTS[0], values[good]),
        }
    )
    folder = RunFolder(root / "run")
    folder.folder("staging")
    pq.write_table(staged, folder.file("staging", "u.parquet"))
    unit = UnitResult(
        unit="u", staged="staging/u.parquet", rows_in=batch.num_rows, rows_scored=len(good), rows_quarantined=0,
        rows_staged=len(good), size_bytes=1, sha256="", device="cpu",
    )  # fmt: skip
    folder.write_json(MANIFEST, Manifest(run_key="r", units=(unit,)))
    return folder


def report() -> ReplayReport:
    return ReplayReport("log", files=2, rows_logged=21)


def test_the_table_has_the_inputs_as_they_were_and_the_spec_scores_it(tmp_path: Path) -> None:
    replay = prepared(tmp_path)
    table = pa.concat_tables(pq.read_table(file) for file in sorted((tmp_path / "replay" / "rows").iterdir()))
    assert table.column("replay_row").to_pylist() == list(range(21))
    assert table.select(SIGNATURE.names).to_pylist() == [row(n) for n in (*range(12), *range(9))]
    assert replay.logged.column("log.row").to_pylist() == [*range(12), *range(9)]
    spec = replay.loaded.spec
    assert (spec.key, spec.output.column, spec.model.precision) == (
        ("replay_day", "replay_row"),
        "probability",
        "float32",
    )
    assert replay.loaded.file(spec.checks.gate).is_file()


def test_a_model_may_have_columns_called_like_the_keys(tmp_path: Path) -> None:
    made = layout()
    first = made.inputs[1].model_copy(
        update={"column": made.inputs[1].column.model_copy(update={"name": "replay_row"})}
    )
    odd = made.model_copy(update={"inputs": (made.inputs[0], first, *made.inputs[2:])})
    [group] = grouped(find_files(put(tmp_path / "log", "a", made)))
    group = group.__class__(odd, tuple(LogFile(f.path, odd, f.rows) for f in group.files))
    replay = prepare(group, draw(group.files, None), tmp_path / "replay", day=DAY, timeout_s=60)
    assert replay.loaded.spec.key == ("replay_day_", "replay_row_")


def test_equal_scores_are_equal_whatever_order_the_batch_has_them_in(tmp_path: Path) -> None:
    replay, found = prepared(tmp_path), report()
    compare(replay, scored(replay, tmp_path), found)
    [arm] = found.arms
    assert (arm.rows, arm.without_score, arm.differing_rows, arm.max_abs_difference) == (21, 3, 0, 0.0)
    assert (arm.devices, arm.batch_devices, found.equal, found.examples) == (("cpu",), ("cpu",), True, [])
    found.require_answer()


@pytest.mark.parametrize("change", [2.0**-53, -0.25])
def test_one_bit_in_one_row_is_found(change: float, tmp_path: Path) -> None:
    replay, found = prepared(tmp_path), report()
    compare(replay, scored(replay, tmp_path, change=(13, change)), found)
    assert (found.differing_rows, found.equal) == (1, False)
    [example] = found.examples
    assert (example.request_id, example.row, example.output) == ("b", 1, "probability")
    assert example.batch - example.logged == pytest.approx(change)
    assert found.to_json()["max_abs_difference"] == abs(example.batch - example.logged)


def test_a_score_on_one_side_only_is_a_difference(tmp_path: Path) -> None:
    replay, found = prepared(tmp_path), report()
    compare(replay, scored(replay, tmp_path, without=(0, 20)), found)
    assert found.differing_rows == 2
    assert [(each.request_id, each.row, each.batch) for each in found.examples] == [("a", 0, None), ("b", 8, None)]
    assert all(each.logged is not None for each in found.examples)


def test_arms_are_told_apart(tmp_path: Path) -> None:
    replay, found = prepared(tmp_path), report()
    arms = pa.array([None if n < 12 else "challenger" for n in range(21)])
    place = replay.logged.column_names.index("log.arm")
    told = replay.__class__(**{**vars(replay), "logged": replay.logged.set_column(place, "log.arm", arms)})
    compare(told, scored(replay, tmp_path, change=(13, 0.5)), found)
    assert [(arm.arm, arm.rows, arm.differing_rows) for arm in found.arms] == [("", 12, 0), ("challenger", 9, 1)]


def test_only_the_drawn_rows_are_compared(tmp_path: Path) -> None:
    replay, found = prepared(tmp_path, 8), report()
    compare(replay, scored(replay, tmp_path), found)
    assert (found.rows_compared, found.equal) == (8, True)


def test_staged_rows_that_belong_to_no_logged_one_are_refused(tmp_path: Path) -> None:
    replay = prepared(tmp_path)
    folder = scored(replay, tmp_path)
    staged = pq.read_table(folder.file("staging", "u.parquet"))
    for wrong in (pa.concat_tables([staged, staged]), staged.set_column(0, replay.number, pa.array(range(100, 118)))):
        pq.write_table(wrong, folder.file("staging", "u.parquet"))
        with pytest.raises(ReplayUnfit, match="do not belong to one logged row each"):
            compare(replay, folder, report())


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ([1.0, float("nan")], None),
        ([[1.0, 2.0], [3.0, float("nan")]], [[1.0, 2.0], [3.5, float("nan")]]),
        ([1, 2], [1, 3]),
        (["a", "b"], ["a", "c"]),
        ([True, False], [True, True]),
        ([0.0, 1.0], [-0.0, 1.0]),
    ],
)
def test_outputs_of_every_kind_are_compared(values: list[Any], other: list[Any] | None, tmp_path: Path) -> None:
    replay = prepared(tmp_path, 2)
    kind = pa.list_(pa.float32(), 2) if isinstance(values[0], list) else None
    logged = replay.logged.drop_columns(["log.reason"]).append_column("log.reason", pa.nulls(2, pa.string()))
    logged = logged.set_column(logged.column_names.index("probability"), "probability", pa.array(values, kind))
    told = replay.__class__(**{**vars(replay), "logged": logged})
    for batch, expected in ((values, 0), (other, 1)):
        if batch is None:
            continue
        folder, found = scored(replay, tmp_path), report()
        pq.write_table(
            pa.table({replay.number: [0, 1], "probability": pa.array(batch, kind)}), folder.file("staging", "u.parquet")
        )
        compare(told, folder, found)
        assert found.differing_rows == expected


def test_a_log_of_which_nothing_can_be_compared_is_an_error() -> None:
    found = report()
    assert not found.admits(grouped([LogFile(Path("a"), layout({"note": "drop"}), 21)])[0])
    assert found.not_replayable == {"toy version 3: inputs were redacted: note (drop)": 21}
    with pytest.raises(NothingReplayable, match="note \\(drop\\)") as caught:
        found.require_answer()
    assert isinstance(caught.value, InputError)
    ReplayReport("log", files=0, rows_logged=0).require_answer()
