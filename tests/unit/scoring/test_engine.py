"""Scoring one unit: staged rows, quarantine, counts, and resume after a crash."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import RunFolderUnusable, TooManyBadRows
from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.plan import Unit
from lockstep.scoring.attempts import finished
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.units import plan_units
from tests.unit.scoring.roots import DAY, SIGNATURE, Root, plan


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


def test_scoring_stops_when_the_run_cannot_pass_any_more(folder: RunFolder, unit: Unit) -> None:
    scorer = Scorer(Root(), SIGNATURE, block_rows=4)
    stopped = UnitScorer(folder, plan(folder.path), scorer, baseline=None, bad_rows_allowed=1)
    with pytest.raises(TooManyBadRows, match=r"2 of the 10 rows .* allows 1 of the whole run.*not_finite"):
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
