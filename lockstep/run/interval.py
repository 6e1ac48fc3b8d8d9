"""Which partition an Airflow run scores: the one place where dates of Airflow become days of data."""

import datetime as dt
from zoneinfo import ZoneInfo

from lockstep.errors import DateInvalid
from lockstep.specs.spec import Schedule

ONE_DAY = dt.timedelta(days=1)


def partition_of_run(
    schedule: Schedule,
    *,
    logical_date: dt.datetime | None,
    manual: bool,
    now: dt.datetime,
    asked: dt.date | None = None,
) -> dt.date:
    """Return the day that a DAG run scores.

    Scheduled and backfill runs score the day on which their data interval begins, in the spec's time zone, so that
    From and To of a backfill are days of data. A manual run scores the day of the logical date that was asked for;
    without one, or with a moment of today (what the trigger form proposes), the latest finished day.

    Args:
        schedule: The spec's schedule, for its time zone and first day.
        logical_date: Of the DAG run; None for runs without one.
        manual: Whether a person (or an asset) started the run.
        now: Aware current time.
        asked: The day that a person named, which wins over the logical date.

    Raises:
        DateInvalid: The day is not over yet, or lies outside the spec's days.
    """
    zone = ZoneInfo(schedule.timezone)
    today = now.astimezone(zone).date()
    latest = today - ONE_DAY
    if asked is not None:
        partition = asked
    elif logical_date is None:
        partition = latest
    elif manual and _is_bare_date(logical_date):
        partition = logical_date.astimezone(dt.UTC).date()
    else:
        partition = logical_date.astimezone(zone).date()
        if manual and partition == today:
            partition = latest
    problem = _problem(schedule, partition, latest=latest)
    if problem is not None:
        advice = "choose a finished day that the schedule covers"
        raise DateInvalid(partition.isoformat(), problem=problem, advice=advice)
    return partition


def finished_days(schedule: Schedule, count: int, *, now: dt.datetime) -> list[dt.date]:
    """Return the last so many days that are over in the spec's time zone and that its schedule covers."""
    today = now.astimezone(ZoneInfo(schedule.timezone)).date()
    last = min(today - ONE_DAY, schedule.end or today)
    days = (last - dt.timedelta(days=back) for back in reversed(range(count)))
    return [day for day in days if day >= schedule.start]


def _problem(schedule: Schedule, partition: dt.date, *, latest: dt.date) -> str | None:
    """Say why a day cannot be scored, if it cannot."""
    if partition > latest:
        return f"is not over yet in {schedule.timezone}; the latest finished day is {latest}"
    if partition < schedule.start:
        return f"is before schedule.start {schedule.start} of the spec"
    if schedule.end is not None and partition > schedule.end:
        return f"is after schedule.end {schedule.end} of the spec"
    return None


def _is_bare_date(moment: dt.datetime) -> bool:
    """Whether a moment is how a date without a time of day arrives: midnight UTC."""
    return moment.astimezone(dt.UTC).time() == dt.time()
