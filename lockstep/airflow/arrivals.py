"""Scoring by assets: when a run starts, which day it scores, and that no day is lost when Airflow joins events.

Airflow joins events of an asset into one run, and may leave some behind (docs/adr/0015-days-by-assets.md). A run scores
one day: the latest that its events name. For each other day it starts a run of its own (`further_days`,
`score_further_day`). Events with partition keys are not joined.
"""

import datetime as dt
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetAny,
    AssetOrTimeSchedule,
    BaseOperator,
    Context,
    CronTriggerTimetable,
    PartitionedAssetTimetable,
)

from lockstep.airflow.step import failing_for_good
from lockstep.airflow.timetable import BoundedCron
from lockstep.run.arrivals import days_named
from lockstep.specs.asset_ref import AssetRef
from lockstep.specs.spec import Schedule


def timetable(schedule: Schedule) -> Any:
    """Return what starts the runs of a scoring DAG: the clock, assets, or both."""
    assets = [asset(ref) for ref in schedule.assets]
    clock = None if schedule.cron is None else _bounded(schedule, schedule.cron)
    if not assets:
        return clock
    if schedule.asset_days == "partition_key":
        return PartitionedAssetTimetable(assets=functools.reduce(operator.and_, assets))
    return assets if clock is None else AssetOrTimeSchedule(timetable=clock, assets=assets)


def _bounded(schedule: Schedule, cron: str) -> BoundedCron:
    zone, end = ZoneInfo(schedule.timezone), schedule.end
    first = dt.datetime.combine(schedule.start, dt.time.min, tzinfo=zone).isoformat()
    last = None if end is None else dt.datetime.combine(end, dt.time.max, tzinfo=zone).isoformat()
    return BoundedCron(cron, schedule.timezone, first=first, last=last)


def clock_or_assets(cron: str | None, refs: Sequence[AssetRef], *, timezone: str) -> Any:
    """Return what starts the runs of a DAG that is about no single day: the clock, any of the assets, or neither."""
    clock = None if cron is None else CronTriggerTimetable(cron, timezone=timezone)
    if not refs:
        return clock
    assets = AssetAny(*(asset(ref) for ref in refs))
    return assets if clock is None else AssetOrTimeSchedule(timetable=clock, assets=assets)


def asset(ref: AssetRef) -> Asset:
    """Return the asset that a spec names."""
    return Asset(name=ref.name, uri=ref.uri)


def days_of(context: Mapping[str, Any]) -> list[dt.date]:
    """Return the days that a run's assets name, the earliest first; empty for a run that no asset started.

    Raises:
        DateInvalid: An event names something that is no day.
    """
    events = [event for found in (context.get("triggering_asset_events") or {}).values() for event in found]
    keys = [getattr(context["dag_run"], "partition_key", None), *(event.partition_key for event in events)]
    return days_named(keys, [event.extra or {} for event in events])


def all_days_of(context: Mapping[str, Any], assets: Sequence[Any]) -> list[dt.date]:
    """Return the days of a run's events and of those that Airflow left behind, the earliest first.

    Airflow 3.3 does not hand a run the events that came after the one that queued it and before the run was made, and
    starts none for them until the asset's next event.

    Args:
        context: Of a task.
        assets: Its inlets.

    Raises:
        DateInvalid: An event names something that is no day.
    """
    run = context["dag_run"]
    kind = str(getattr(run.run_type, "value", run.run_type))
    if kind != "asset_triggered" or run.start_date is None or run.clear_number:
        return days_of(context)
    window = (run.run_after.isoformat(), run.start_date.isoformat())
    found = [e for asset in assets for e in context["inlet_events"][asset].after(window[0]).before(window[1])]
    left_behind = days_named([event.partition_key for event in found], [event.extra or {} for event in found])
    return sorted({*days_of(context), *left_behind})


class FurtherDaysOperator(BaseOperator):
    """Says which runs to start for the days that this run does not score, as the next task wants to have it."""

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return `trigger_run_id` and `conf` of each run; the same ones whenever it is asked."""
        with failing_for_good():
            scored = days_of(context)[-1:]
            days = [day for day in all_days_of(context, self.inlets) if day not in scored]
        self.log.info("further days that the assets' events name: %s", ", ".join(map(str, days)) or "none")
        run_id = context["dag_run"].run_id
        return [{"trigger_run_id": f"day_{day}_of_{run_id}", "conf": {"date": day.isoformat()}} for day in days]


def add_further_days(dag: DAG, schedule: Schedule) -> None:
    """Add the tasks that start a run for each further day, where Airflow may join events."""
    if not schedule.assets or schedule.asset_days == "partition_key":
        return
    with dag:
        further = FurtherDaysOperator(
            task_id="further_days",
            inlets=[asset(ref) for ref in schedule.assets],
            doc_md="Which other days the assets' events name, when Airflow has joined several into this run.",
        )
        TriggerDagRunOperator.partial(
            task_id="score_further_day",
            trigger_dag_id=dag.dag_id,
            logical_date=None,  # with today's, a run after the spec's last day would have no tasks and be a success
            skip_when_already_exists=True,
            doc_md="Start a run of its own for each of these days; one that is there already is left alone.",
        ).expand_kwargs(further.output)
