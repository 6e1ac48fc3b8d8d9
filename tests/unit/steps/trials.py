"""Runs with challengers, as `plan` and `score` leave them, made without Spark and without a registry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Plan
from lockstep.scoring.challenger import Challenger
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.specs.loading import load_spec
from lockstep.steps.request import warehouse_of
from lockstep.steps.score import accept_challengers, write_manifest
from lockstep.steps.trial_plan import TrialPlanner
from tests.unit.steps.runs import (
    FunctionBackend,
    Score,
    km_risk,
    make_model,
    make_settings,
    make_spec,
    parcels,
    plan_run,
)

NEXT, SHADOW = "next", "parcel_scores_next"
TRIAL = {"challengers": [{"alias": NEXT}], "segments": ["depot"], "tolerance": 0.02}


def a_bit_later(batch: pa.RecordBatch) -> np.ndarray:
    """Another model: what is far is later still."""
    return np.asarray(np.clip(km_risk(batch) * 1.05, 0, 1))


def plan_challenger(folder: RunFolder, root: Path, *, version: int = 2, alias: str = NEXT) -> RunFolder:
    """Freeze a challenger and claim its shadow table, as planning does once its alias is resolved."""
    plan, settings = folder.plan(step="test"), make_settings(root)
    model = make_model(root, load_spec(root / "models" / "parcels"), version=version, training=None, score=km_risk)
    planner = TrialPlanner(folder, plan, settings, warehouse_of(plan, settings), {})
    assert plan.spec.trial is not None
    own = folder.challenger(alias)
    planner._freeze(own, model.model_copy(update={"alias": alias}))
    planner._claim(own, next(one for one in plan.spec.trial.challengers if one.alias == alias))
    return own


def score_both(folder: RunFolder, challengers: Mapping[RunFolder, Score]) -> None:
    """Score the units in this process, champion and challengers in one pass, and write the manifests."""
    plan, wanted = folder.plan(step="test"), folder.scoring_input(step="test")

    def loaded(made: Plan, score: Score) -> tuple[Scorer, Profile | None]:
        signature = Signature(made.model.inputs, made.model.outputs)
        return Scorer(FunctionBackend(score), signature, block_rows=4), None

    def challenger(own: RunFolder, score: Score) -> Challenger:
        made = own.plan(step="test")
        return Challenger(own, made, lambda: loaded(made, score))

    beside = [challenger(own, score) for own, score in challengers.items()]
    units = UnitScorer(folder, plan, loaded(plan, km_risk)[0], baseline=None, challengers=beside)
    for unit in wanted.units:
        units.score(unit)
    write_manifest(folder)
    accept_challengers(folder, wanted)


def make_trial(root: Path, *, table: pa.Table | None = None, score: Score = a_bit_later, **changes: Any) -> RunFolder:
    """Make a scored run of the little spec with a challenger."""
    loaded = make_spec(root, **{"trial": TRIAL, **changes})
    model = make_model(root, loaded, version=1, training=None, score=km_risk)
    folder = plan_run(root, parcels() if table is None else table, loaded, model)
    score_both(folder, {plan_challenger(folder, root): score})
    return folder
