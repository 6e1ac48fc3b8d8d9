"""What a run says of its challengers, whatever became of them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lockstep.errors import StepOutOfOrder
from lockstep.run.comparison import Comparison
from lockstep.run.folder import COMPARISON, MANIFEST, RunFolder
from lockstep.run.trials import FAILURE, end_trial, failure_of, on_trial, scored, trial_plans
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.steps.compare import compare
from tests.unit.steps.runs import km_risk, make_run, make_settings, parcels
from tests.unit.steps.trials import NEXT, make_trial, plan_challenger, score_both


def comparison(folder: RunFolder, alias: str = NEXT) -> Comparison:
    return folder.challenger(alias).read_record(COMPARISON, Comparison, step="test")


def test_a_challenger_beside_the_champion(tmp_path: Path) -> None:
    folder = make_trial(tmp_path)
    told = compare(folder, make_settings(tmp_path))
    one = comparison(folder)
    ours = np.array([(i * 37) % 100 / 100 for i in range(40)])
    theirs = np.clip(ours * 1.05, 0, 1)
    apart = theirs - ours
    assert (one.rows_in, one.compared, one.failure) == (40, 40, "")
    assert (one.version, one.champion_version) == (2, 1)
    assert one.agreement == (apart <= 0.02).mean()
    assert one.mean_difference == pytest.approx(apart.mean())
    assert one.max_difference == apart.max()
    assert one.psi is not None
    assert 0 < one.psi < 0.5
    assert (one.champion_seconds or 0) > 0
    assert (one.challenger_seconds or 0) > 0
    assert [(part.column, part.value, part.rows) for part in one.segments] == [("depot", "N", 26), ("depot", "S", 14)]
    south = [i % 3 == 0 for i in range(40)]
    assert one.segments[1].shift == pytest.approx(apart[south].mean())
    assert told["challengers"][NEXT]["agreement"] == one.agreement
    assert "segments" not in told["challengers"][NEXT]
    assert told["on_trial"].startswith("next (version 2): agrees in 42.50 % of 40 rows")
    before = folder.challenger(NEXT).file(COMPARISON).read_bytes()
    assert compare(folder, make_settings(tmp_path)) == told
    assert folder.challenger(NEXT).file(COMPARISON).read_bytes() == before


@pytest.mark.parametrize("errors", [None, "why"])
def test_rows_without_a_score_are_counted_and_not_compared(tmp_path: Path, errors: str | None) -> None:
    def fails_far_away(batch: pa.RecordBatch) -> np.ndarray:
        risk = km_risk(batch)
        return np.where(risk > 0.9, np.nan, risk)

    output = {"column": "risk", "errors": errors}
    folder = make_trial(tmp_path, score=fails_far_away, output=output)
    compare(folder, make_settings(tmp_path))
    one = comparison(folder)
    far = sum((i * 37) % 100 > 90 for i in range(40))
    assert (one.champion_bad, one.challenger_bad, one.compared) == (0, far, 40 - far)
    assert (one.agreement, one.max_difference, one.psi) == (1.0, 0.0, 0.0)
    assert folder.challenger(NEXT).manifest(step="test").reasons == {NOT_FINITE: far}


def test_one_without_a_result_has_there_why(tmp_path: Path) -> None:
    challengers = [{"alias": alias} for alias in ("ended", "unplanned", "damaged", "unfinished")]
    folder = make_run(tmp_path, trial={"challengers": challengers})
    folder.file(MANIFEST).unlink()
    for path in folder.file("staging").glob("*/*"):
        path.unlink()
    damaged, ended = (plan_challenger(folder, tmp_path, alias=alias) for alias in ("damaged", "ended"))
    unfinished = plan_challenger(folder, tmp_path, alias="unfinished", version=3)
    end_trial(ended, failure_of("ended", "score", "it fell over", model=ended.plan(step="test").model))
    score_both(folder, {damaged: km_risk})
    assert on_trial(folder) == ["damaged"]
    assert "of 2 units were scored" in unfinished.file(FAILURE).read_text()
    assert scored(folder)
    next(damaged.file("staging").glob("*/*.parquet")).write_bytes(b"PAR1")
    told = compare(folder, make_settings(tmp_path))["challengers"]
    reasons = {alias: facts["failure"] for alias, facts in told.items()}
    assert reasons["ended"] == "it fell over"
    assert reasons["unplanned"].startswith("this day was scored without it")
    assert reasons["damaged"].startswith("ArrowInvalid was raised")
    assert reasons["unfinished"] == "0 of 2 units were scored"
    assert {facts["rows_in"] for facts in told.values()} == {40}
    assert (told["ended"]["version"], told["unplanned"]["version"]) == (2, 0)
    assert json.dumps(told)


def test_files_of_another_version_are_not_accepted(tmp_path: Path) -> None:
    folder = make_trial(tmp_path)
    own = folder.challenger(NEXT)
    own.file(MANIFEST).unlink()
    plan = own.plan(step="test")
    moved = plan.model_copy(update={"model": plan.model.model_copy(update={"digest": "f" * 64})})
    own.write_json("plan.json", moved)
    score_both(folder, {})
    assert not own.has(MANIFEST)
    assert "2 of 2 units were scored, 2 of them by another version" in own.file(FAILURE).read_text()


def test_a_plan_that_cannot_be_read_ends_its_challenger_alone(tmp_path: Path) -> None:
    folder = make_trial(tmp_path)
    folder.challenger(NEXT).write_json("plan.json", {"of": "another version"})
    score_both(folder, {})
    assert trial_plans(folder) == {}
    told = compare(folder, make_settings(tmp_path))["challengers"]
    assert "plan.json of this version of Lockstep" in told[NEXT]["failure"]


def test_a_run_without_challengers_and_one_that_is_not_scored(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    assert compare(folder, make_settings(tmp_path)) == {"on_trial": "nobody", "challengers": {}}
    folder = make_trial(tmp_path / "b", table=parcels(12))
    folder.file(MANIFEST).unlink()
    with pytest.raises(StepOutOfOrder):
        compare(folder, make_settings(tmp_path))
