"""Scoring one unit: staged rows, quarantine, counts, and resume after a crash."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import RunFolderUnusable
from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.plan import Column, ModelIdentity, Plan, Unit
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.engine import UnitScorer, finished
from lockstep.scoring.profile import build_baseline
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.units import plan_units
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
