import datetime as dt
from typing import Any

import pytest

from lockstep.quality.performance_table import PerformanceRow
from lockstep.quality.retraining import judge
from lockstep.specs.labels_spec import Retrain

LAST = dt.date(2024, 3, 20)


def row(ago: int, *, version: int = 1, **changes: Any) -> PerformanceRow:
    facts = {
        "spec": "parcels",
        "table_name": "scores",
        "arm": "published",
        "partition_date": LAST - dt.timedelta(days=ago),
        "scores_run_key": "k",
        "model_version": version,
        "row_count": 100,
        "labelled_count": 100,
        "measured_count": 100,
        "positive_count": 50,
        "auc": 0.7,
        "log_loss": 0.5,
        "bias": -0.3,
    }
    return PerformanceRow(**{**facts, **changes})


@pytest.mark.parametrize(
    ("limits", "broken"),
    [
        ({"min_auc": 0.7}, []),
        ({"min_auc": 0.71}, ["min_auc"]),
        ({"max_log_loss": 0.5, "max_bias": 0.31}, []),
        ({"max_log_loss": 0.49, "max_bias": 0.29}, ["max_log_loss", "max_bias"]),
        ({"max_brier": 0.1}, []),  # which nobody could measure
    ],
)
def test_limits(limits: dict[str, float], broken: list[str]) -> None:
    found = judge([row(n) for n in range(5)], Retrain(**limits))
    assert [breach.limit for breach in found.breaches] == broken
    assert (found.judged, found.days, found.model_version) == (True, 5, 1)
    assert (found.first_day, found.last_day) == (LAST - dt.timedelta(days=4), LAST)


def test_only_published_rows_of_the_version_in_use_count_and_only_those_of_the_window() -> None:
    rows = [
        *(row(n, version=2) for n in range(3)),
        row(0, version=1, auc=0.1, row_count=20),
        *(row(n, version=1, auc=0.1) for n in range(3, 8)),
        *(row(n, version=2, auc=0.1) for n in (14, 15)),
        row(0, version=2, arm="challenger", auc=0.1),
        row(0, version=2, segment_column="depot", segment_value="N", auc=0.1),
        row(-1, version=3, measured_count=0, auc=None),
    ]
    found = judge(rows, Retrain(min_auc=0.6))
    assert (found.model_version, found.days, found.breaches, found.last_day) == (2, 3, (), LAST)
    assert found.figures == {"min_auc": pytest.approx(0.7)}


def test_too_few_days_and_no_days_are_not_judged() -> None:
    found = judge([row(0, auc=0.1), row(1, auc=0.1)], Retrain(min_auc=0.6))
    assert (found.judged, found.breaches, found.days) == (False, (), 2)
    assert judge([], Retrain(min_auc=0.6)).model_version is None
