"""Which days an asset-triggered run is about: what the events say that Airflow has joined into it."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from lockstep.errors import DateInvalid
from lockstep.run.partition import parse_partition

DAY = "partition"  # in the extra of an event, as our own publications have it
DAY_CHARACTERS = len("YYYY-MM-DD")


def days_named(keys: Iterable[str | None], extras: Iterable[Mapping[str, Any]]) -> list[dt.date]:
    """Return the days that asset events name, each once, the earliest first.

    Args:
        keys: Partition keys of the run and of its events: a day, or a moment of it such as Airflow's
            `CronPartitionTimetable` makes (`2013-08-01T00:00:00`, in the time zone of that timetable).
        extras: The `extra` of each event.

    Raises:
        DateInvalid: Something was named that is no day.
    """
    named = [_day_of_key(key) for key in keys if key]
    named += [_day(extra[DAY]) for extra in extras if extra.get(DAY) is not None]
    return sorted(set(named))


def _day_of_key(key: str) -> dt.date:
    if len(key) > DAY_CHARACTERS and key[DAY_CHARACTERS] in "T ":
        try:
            return dt.datetime.fromisoformat(key).date()
        except ValueError:
            return _day(key)
    return _day(key)


def _day(value: Any) -> dt.date:
    try:
        return parse_partition(str(value))
    except DateInvalid as error:
        advice = "whoever updates the asset must name the day as YYYY-MM-DD"
        raise DateInvalid(str(value), problem="is what an asset's event names, and no day", advice=advice) from error
