"""What Airflow calls back when a task of a scoring DAG ends: metrics, then alerts. Nothing unless it is configured."""

from collections import defaultdict
from typing import Any

from lockstep.airflow.alerts import alert_callbacks
from lockstep.airflow.metrics import metric_callbacks
from lockstep.specs.spec import ScoringSpec


def task_callbacks(spec: ScoringSpec) -> dict[str, Any]:
    """Return the callbacks of every task of a spec's scoring DAG, for its `default_args`."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for callbacks in (metric_callbacks(spec), alert_callbacks(spec)):
        for outcome, functions in callbacks.items():
            found[outcome] += functions
    return dict(found)
