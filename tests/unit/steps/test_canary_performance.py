"""Which labelled days are pooled, and how."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lockstep.run.plan import CanaryPlan, Plan
from lockstep.specs.trial_spec import Guardrails, Trial
from lockstep.steps.canary_performance import pair_of
from tests.unit.steps.canaries import trial
from tests.unit.steps.runs import DAY, make_model, make_spec, parcels, plan_run


@dataclass(frozen=True)
class Row:
    """What one model did on one day."""

    arm: str
    partition_date: dt.date
    model_version: int
    measured_count: int
    auc: float | None
    log_loss: float | None
    positive_count: int | None = 5
    is_whole_day: bool = True


def days(*numbers: int, auc: float = 0.7, loss: float = 0.5, rows: int = 10, **changes: Any) -> list[Row]:
    """Both models on some days before the scored one; the challenger is worse by 0.1."""
    found = []
    for number in numbers:
        day = DAY - dt.timedelta(days=number)
        found.append(Row("published", day, 1, rows, auc, loss, **changes))
        found.append(Row("challenger", day, 2, rows, auc - 0.1, loss + 0.1, **changes))
    return found


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A run with a canary that is judged by two labelled days."""
    loaded = make_spec(tmp_path, trial=trial())
    model = make_model(tmp_path, loaded, version=1, training=None, score=lambda batch: batch)
    made = plan_run(tmp_path, parcels(), loaded, model, claim=False).plan(step="test")
    judged = Trial.model_validate(trial())
    assert judged.canary is not None
    canary = judged.canary.model_copy(update={"guardrails": Guardrails(labelled_days=2)})
    spec = made.spec.model_copy(update={"trial": judged.model_copy(update={"canary": canary})})
    planned = CanaryPlan(alias="challenger", version=2, digest="d", fraction=0.5, by=("id",), salt="s")
    return made.model_copy(update={"spec": spec, "canary": planned})


def test_the_latest_days_of_both_are_pooled_by_their_rows(plan: Plan) -> None:
    rows = days(9, auc=0.1) + days(3, auc=0.6, loss=0.4, rows=30) + days(2, auc=0.8, loss=0.8, rows=10)
    pair = pair_of(rows, plan)
    assert pair is not None
    assert (pair.champion.rows, pair.challenger.rows) == (40, 40)
    assert pair.champion.log_loss == pytest.approx((30 * 0.4 + 10 * 0.8) / 40)
    assert pair.champion.auc == pytest.approx((125 * 0.6 + 25 * 0.8) / 150)
    assert pair.challenger.auc == pytest.approx((125 * 0.5 + 25 * 0.7) / 150)


def test_only_whole_days_before_the_run_of_these_two_versions_count(plan: Plan) -> None:
    halves = [row for row in days(4) if row.arm == "published"]
    other = [Row("published", DAY - dt.timedelta(days=5), 7, 10, 0.9, 0.1), *days(5)[1:]]
    mixed = [Row("published", DAY - dt.timedelta(days=6), 2, 10, 0.9, 0.1), *days(6)]
    assert pair_of([*halves, *other, *days(0), *days(-1), *days(1, is_whole_day=False)], plan) is None
    pair = pair_of([*halves, *other, *mixed], plan)
    assert pair is not None
    assert pair.champion.rows == 10
    assert pair_of(days(1), plan.model_copy(update={"canary": None})) is None


def test_days_of_one_kind_of_outcome_have_no_auc(plan: Plan) -> None:
    rows = [Row(row.arm, row.partition_date, row.model_version, 10, None, 0.5, positive_count=0) for row in days(1, 2)]
    pair = pair_of(rows, plan)
    assert pair is not None
    assert (pair.champion.auc, pair.champion.log_loss) == (None, pytest.approx(0.5))
