"""Whether the model in use is still good enough, by its performance over the latest labelled days."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from lockstep.quality.performance_table import PUBLISHED, PerformanceRow, pooled
from lockstep.run.plan import Record
from lockstep.specs.labels_spec import LIMITS, Retrain


class Breach(Record):
    """One limit that is exceeded."""

    limit: str
    allowed: float
    value: float

    def __str__(self) -> str:
        """Say it."""
        return f"{self.limit} {self.allowed:g}: it is {self.value:.4f}"


class Judgement(Record):
    """What became of the limits.

    Attributes:
        model_version: The version that made most of the latest labelled day; only its rows count.
        first_day, last_day: Of the days that were pooled.
        days: Measured days among them.
        judged: Whether there were enough.
        figures: Each limit's figure over these days.
        breaches: The limits that are exceeded.
    """

    model_version: int | None = None
    first_day: dt.date | None = None
    last_day: dt.date | None = None
    days: int = 0
    judged: bool = False
    figures: dict[str, float] = {}
    breaches: tuple[Breach, ...] = ()


def judge(rows: Sequence[PerformanceRow], retrain: Retrain) -> Judgement:
    """Compare the latest labelled days with the limits.

    Args:
        rows: Of the performance table, in any order; those of challengers do not count.
        retrain: The limits and the days they are about.
    """
    mine = [row for row in rows if row.arm == PUBLISHED and row.is_whole_day and row.measured_count]
    if not mine:
        return Judgement()
    last = max(row.partition_date for row in mine)
    made: Counter[int] = Counter()
    for row in mine:
        if row.partition_date == last:
            made[row.model_version] += row.row_count
    version = max(made, key=lambda one: (made[one], one))
    first = last - dt.timedelta(days=retrain.days - 1)
    window = [row for row in mine if row.model_version == version and row.partition_date >= first]
    days = len({row.partition_date for row in window})
    figures = {limit: pooled(window, LIMITS[limit][0]) for limit in retrain.limits}
    known = {limit: value for limit, value in figures.items() if value is not None}
    enough = days >= retrain.min_days
    breaches = [
        Breach(limit=limit, allowed=allowed, value=known[limit])
        for limit, allowed in retrain.limits.items()
        if enough and limit in known and _exceeds(limit, known[limit], allowed=allowed)
    ]
    return Judgement(
        model_version=version,
        first_day=min(row.partition_date for row in window),
        last_day=last,
        days=days,
        judged=enough,
        figures={str(limit): value for limit, value in known.items()},
        breaches=tuple(breaches),
    )


def _exceeds(limit: str, value: float, *, allowed: float) -> bool:
    return value < allowed if limit.startswith("min_") else abs(value) > allowed
