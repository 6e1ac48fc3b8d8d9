"""What the tests of operators need: a context as Airflow gives it, and a registry that knows one version."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from lockstep.airflow.operators import PinModelOperator
from lockstep.airflow.step import StepOperator
from lockstep.specs.spec import Schedule

SCHEDULE = Schedule(cron="0 6 * * *", timezone="UTC", start=dt.date(2013, 1, 1))
DataPlane = Callable[[str], None]


class Ti:
    """The parts of a task instance that the operators use."""

    map_index = -1

    def __init__(self, **xcoms: Any) -> None:
        self.xcoms: dict[str, Any] = xcoms
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, *, task_ids: str) -> Any:
        return self.xcoms.get(task_ids)

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value


FORM = {"model": "@champion", "date": None, "checks": "normal", "dry_run": False, "fresh_model": False}


def context(ti: Ti | None = None, *, run_type: str = "backfill", run_id: str = "b/1", **params: Any) -> Any:
    logical_date = dt.datetime(2013, 8, 1, 6, tzinfo=dt.UTC)
    dag_run = SimpleNamespace(logical_date=logical_date, run_type=run_type, dag_id="score_m", run_id=run_id)
    dag = SimpleNamespace(get_task=lambda name: StepOperator(task_id=name, arguments=[]))
    events: dict[Any, Any] = defaultdict(lambda: SimpleNamespace(extra={}))
    return {
        "ti": ti or Ti(),
        "dag_run": dag_run,
        "params": {**FORM, **params},
        "dag": dag,
        "outlet_events": events,
    }


def resolves(version: int) -> str:
    """A data plane whose registry knows one version, and says what it was asked."""
    return f"""echo "$*" >> $LOCKSTEP_HOME.asked; echo '{{"name": "m", "version": {version}, "digest": "d"}}'"""


def pin() -> PinModelOperator:
    return PinModelOperator(task_id="pin_model", arguments=["model", "resolve", "m", "--json"], schedule=SCHEDULE)
