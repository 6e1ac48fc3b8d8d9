"""Scoring one unit: staged rows, quarantine, counts, and resume after a crash."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import RunFolderUnusable, TooManyBadRows
from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Column, ModelIdentity, Plan, Unit
from lockstep.scoring import engine
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.engine import UnitScorer, finished, remove_strays
from lockstep.scoring.profile import build_baseline
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.units import plan_units, read_unit
from lockstep.specs.spec import ScoringSpec

SIGNATURE = Signature((Column(name="x", dtype="double"),), (Column(name="score", dtype="double"),))
DAY = dt.date(2024, 1, 1)


class Root:
    """A model that is not finite below zero."""

    calls = 0
    device = "cpu"

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the column."""
        return Encoded((Group((np.asarray(batch.column("x").to_numpy(zero_copy_only=False)),)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Return square roots."""
        Root.calls += 1
        with np.errstate(invalid="ignore"):
            return (np.sqrt(arrays[0]),)


def plan(folder: Path) -> Plan:
    """A plan of 10-row batches."""
    spec = ScoringSpec.model_validate(
        {
            "name": "s",
            "model": {"name": "m"},
            "schedule": {"cron": "0 6 * * *", "start": "2024-01-01"},
            "input": {
                "query": "q.sql",
                "sources": {"c": {"path": "c", "partition": "day", "days": [0, 0], "columns": {"id": "long"}}},
            },
            "partition": {"column": "day"},
            "key": ["day", "id"],
            "output": {"column": "score"},
            "publish": {"table": "t"},
            "limits": {"batch_rows": 10},
        }
    )
    model = ModelIdentity(
        name="m", version=3, digest="d" * 64, location="/m", inputs=SIGNATURE.inputs, outputs=SIGNATURE.outputs
    )
    facts = {"spec_hash": "s", "input_digest": "i", "sources": (), "data_root": "/d", "warehouse": "/w"}
    now = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    return Plan(
        run_key="k",
        partition=DAY,
        spec=spec,
        model=model,
        cache_root=str(folder),
        code_version="1",
        planned_at=now,
        **facts,
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run folder with 25 input rows, of which 3 have no score."""
    x = pa.array([-1.0 if i in (0, 7, 24) else float(i) for i in range(25)])
    table = pa.table({"day": pa.array([DAY] * 25), "id": pa.array(range(25), pa.int64()), "x": x})
    pq.write_table(table, tmp_path / "in.parquet")
    return RunFolder(tmp_path)


@pytest.fixture
def unit(folder: RunFolder) -> Unit:
    """Its only unit."""
    return plan_units(folder.path, ["in.parquet"], unit_bytes=1 << 20)[0]


@pytest.fixture
def unit_scorer(folder: RunFolder) -> UnitScorer:
    """A unit scorer with a baseline."""
    baseline = build_baseline({"x": np.arange(25.0), "score": np.sqrt(np.arange(25.0))})
    return UnitScorer(folder, plan(folder.path), Scorer(Root(), SIGNATURE, block_rows=4), baseline=baseline)


def test_rows_in_are_scored_or_quarantined(folder: RunFolder, unit: Unit, unit_scorer: UnitScorer) -> None:
    result = unit_scorer.score(unit)
    assert (result.rows_in, result.rows_scored, result.rows_quarantined) == (25, 22, 3)
    assert result.reasons == {NOT_FINITE: 3}
    assert result.sha256 == file_sha256(folder.file(result.staged))
    assert result.profile["columns"]["score"]["nulls"] == 3
    assert result.profile["rows"] == 25
    assert result.quarantined is not None
    bad = pq.read_table(folder.file(result.quarantined))
    assert bad.column("id").to_pylist() == [0, 7, 24]
    assert bad.column_names == ["day", "id", "code", "reason", "unit"]


def test_staged_rows_carry_key_score_and_stamps(folder: RunFolder, unit: Unit, unit_scorer: UnitScorer) -> None:
    staged = pq.read_table(folder.file(unit_scorer.score(unit).staged))
    names = ["day", "id", "score", "model_name", "model_version", "model_digest", "run_key", "scored_at"]
    assert staged.column_names == names
    assert staged.schema.field("day").type == pa.date32()
    assert staged.schema.field("scored_at").type == pa.timestamp("us", tz="UTC")
    assert {tuple(r[n] for n in names[3:7]) for r in staged.to_pylist()} == {("m", 3, "d" * 64, "k")}
    for row in staged.to_pylist():
        assert row["score"] == np.sqrt(row["id"])


def test_a_finished_unit_is_not_scored_again(unit: Unit, unit_scorer: UnitScorer) -> None:
    first, calls = unit_scorer.score(unit), Root.calls
    assert unit_scorer.score(unit) == first
    assert Root.calls == calls


def test_an_attempt_that_died_does_not_count(folder: RunFolder, unit: Unit, unit_scorer: UnitScorer) -> None:
    half = folder.folder("staging", unit.id) / "dead.parquet"
    half.write_bytes(b"PAR1 half a file")
    assert finished(folder, unit) is None
    result = unit_scorer.score(unit)
    assert result.staged != "staging/u00000/dead.parquet"
    folder.file(result.staged).unlink()
    assert finished(folder, unit) is None, "a result without its staged file does not count either"


def test_all_rows_bad(folder: RunFolder, unit: Unit) -> None:
    table = pq.read_table(folder.file("in.parquet"))
    pq.write_table(table.set_column(2, "x", pa.array([-1.0] * 25)), folder.file("in.parquet"))
    scorer = Scorer(Root(), SIGNATURE, block_rows=4)
    result = UnitScorer(folder, plan(folder.path), scorer, baseline=None).score(unit)
    assert (result.rows_scored, result.rows_quarantined) == (0, 25)
    assert pq.read_table(folder.file(result.staged)).num_rows == 0


def test_a_full_disk_is_a_clear_error(folder: RunFolder, unit: Unit, unit_scorer: UnitScorer) -> None:
    folder.file("staging").write_text("not a folder")
    with pytest.raises(RunFolderUnusable, match="Nothing was published"):
        unit_scorer.score(unit)


def scored_again(folder: RunFolder, unit: Unit, **limits: int) -> UnitResult:
    """Score the unit anew, with other limits, as if no attempt had finished."""
    for path in folder.file("staging", unit.id).glob("*.json"):
        path.unlink()
    spec = plan(folder.path).spec
    changed = spec.model_copy(update={"limits": spec.limits.model_copy(update=limits)})
    scorer = Scorer(Root(), SIGNATURE, block_rows=4)
    made = plan(folder.path).model_copy(update={"spec": changed})
    return UnitScorer(folder, made, scorer, baseline=None).score(unit)


@pytest.mark.parametrize("limits", [{"batch_rows": 1}, {"batch_rows": 7}, {"batch_rows": 25}, {"batch_bytes": 30}])
def test_staged_bytes_do_not_depend_on_batches_or_attempts(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer, limits: dict[str, int]
) -> None:
    first = unit_scorer.score(unit)
    again = scored_again(folder, unit, **limits)
    assert again.staged != first.staged
    assert again.sha256 == first.sha256
    assert folder.file(again.staged).read_bytes() == folder.file(first.staged).read_bytes()
    assert again.rows_quarantined == first.rows_quarantined == 3


def test_after_attempts_that_died_batches_are_smaller(
    folder: RunFolder, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def reading(*args: Any, batch_rows: int, **kwargs: Any) -> Iterator[pa.RecordBatch]:
        asked.append(batch_rows)
        return read_unit(*args, batch_rows=batch_rows, **kwargs)

    monkeypatch.setattr(engine, "read_unit", reading)
    scored_again(folder, unit, batch_rows=65_536)
    folder.file("staging", unit.id, "one.parquet").write_bytes(b"PAR1")
    folder.file("staging", unit.id, "two.parquet").write_bytes(b"PAR1")
    for path in folder.file("staging", unit.id).glob("*.parquet"):
        if path.stat().st_size > 4:
            path.unlink()
    scored_again(folder, unit, batch_rows=65_536)
    assert asked == [65_536, 65_536 >> 4]


def test_stray_attempts_are_removed_and_the_accepted_one_stays(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer
) -> None:
    result = unit_scorer.score(unit)
    dead = [folder.folder(kind, unit.id) / "dead.parquet" for kind in ("staging", "quarantine")]
    for path in dead:
        path.write_bytes(b"PAR1")
    assert remove_strays(folder, [result]) == 1
    assert not any(path.exists() for path in dead)
    assert finished(folder, unit) == result
    assert result.quarantined is not None
    assert folder.file(result.quarantined).is_file()


def test_an_attempt_whose_file_another_process_removed_takes_that_process_result(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = UnitScorer(folder, plan(folder.path), Scorer(Root(), SIGNATURE, block_rows=4), baseline=None)

    def overtaken(path: Path) -> str:
        monkeypatch.setattr(engine, "file_sha256", file_sha256)
        remove_strays(folder, [other.score(unit)])
        return file_sha256(path)

    monkeypatch.setattr(engine, "file_sha256", overtaken)
    result = unit_scorer.score(unit)
    assert result == finished(folder, unit)
    assert len(list(folder.file("staging", unit.id).glob("*.parquet"))) == 1


def test_scoring_stops_when_the_run_cannot_pass_any_more(folder: RunFolder, unit: Unit) -> None:
    scorer = Scorer(Root(), SIGNATURE, block_rows=4)
    stopped = UnitScorer(folder, plan(folder.path), scorer, baseline=None, bad_rows_allowed=1)
    with pytest.raises(TooManyBadRows, match=r"2 of the first 10 rows .* allows 1 of the whole run.*not_finite"):
        stopped.score(unit)
    assert finished(folder, unit) is None
    enough = UnitScorer(folder, plan(folder.path), scorer, baseline=None, bad_rows_allowed=2)
    assert enough.score(unit).rows_quarantined == 3, "at the end of the unit the audit decides"


def test_where_the_time_went_is_recorded(unit: Unit, unit_scorer: UnitScorer) -> None:
    result = unit_scorer.score(unit)
    assert result.stages_s.keys() == {"read", "score", "assemble", "write", "profile", "hash"}
    assert result.peak_bytes > 1 << 20
    assert result.device == "cpu"


def test_a_key_that_is_no_text_is_set_aside_readably(folder: RunFolder, tmp_path: Path) -> None:
    binary = pa.array([b"a", b"\xff\xfe"], pa.binary())
    names = pa.Array.from_buffers(pa.string(), 2, binary.buffers())
    table = pa.table({"day": pa.array([DAY] * 2), "id": names, "x": pa.array([-1.0, -1.0])})
    pq.write_table(table, tmp_path / "text.parquet")
    unit = plan_units(folder.path, ["text.parquet"], unit_bytes=1 << 20)[0]
    scorer = UnitScorer(folder, plan(folder.path), Scorer(Root(), SIGNATURE, block_rows=4), baseline=None)
    result = scorer.score(unit)
    assert result.quarantined is not None
    assert pq.read_table(folder.file(result.quarantined)).column("id").to_pylist() == ["a", "\ufffd\ufffd"]


def test_with_an_error_column_bad_rows_stay_with_their_reason(folder: RunFolder, unit: Unit) -> None:
    made = plan(folder.path)
    output = made.spec.output.model_copy(update={"errors": "error"})
    made = made.model_copy(update={"spec": made.spec.model_copy(update={"output": output})})
    result = UnitScorer(folder, made, Scorer(Root(), SIGNATURE, block_rows=4), baseline=None).score(unit)
    assert (result.rows_in, result.rows_scored, result.rows_quarantined, result.rows_staged) == (25, 22, 3, 25)
    assert result.quarantined is None
    rows = pq.read_table(folder.file(result.staged)).to_pylist()
    assert [row["id"] for row in rows if row["error"] is not None] == [0, 7, 24]
    for row in rows:
        assert row["error"] in (None, NOT_FINITE)
        assert row["score"] == (None if row["error"] else np.sqrt(row["id"]))
