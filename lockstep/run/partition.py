"""Partitions: the day that a run scores, and the windows of days around it."""

import datetime as dt
from collections.abc import Iterator

from lockstep.errors import DateInvalid


def parse_partition(text: str) -> dt.date:
    """Parse `YYYY-MM-DD`, or raise `DateInvalid`."""
    try:
        day = dt.date.fromisoformat(text)
        if day.isoformat() != text:  # it also reads other forms, and 20130801 with two more characters
            raise ValueError(text)
    except ValueError as error:
        raise DateInvalid(text, problem="is not a day") from error
    return day


def days_between(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """Yield every day from `first` to `last`, both included."""
    if first > last:
        raise DateInvalid(f"{first}..{last}", problem="ends before it begins", advice="give the earlier day first")
    for offset in range((last - first).days + 1):
        yield first + dt.timedelta(days=offset)


def window(partition: dt.date, days: tuple[int, int]) -> tuple[dt.date, dt.date]:
    """Return the first and last day of a source window given relative to the partition."""
    return partition + dt.timedelta(days=days[0]), partition + dt.timedelta(days=days[1])
