"""The schedule of a spec: cron intervals between its first and its last day, and runs by hand at any time.

A DAG's own `start_date` and `end_date` bind its tasks too: Airflow gives a run that a person starts outside them no
task at all, and calls it a success. These bounds bind the schedule and backfills only; which day a run by hand scores
is decided by its first task, which refuses a day outside the spec's days and says so.
"""

from typing import Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable


class BoundedCron(CronDataIntervalTimetable):
    """Cron intervals that begin between two moments.

    Args:
        cron: Five-field cron expression.
        timezone: IANA time zone of the cron.
        first: ISO moment at or after which the first interval begins.
        last: ISO moment at or before which the last interval begins; none: there is no end.
    """

    def __init__(self, cron: str, timezone: str, *, first: str, last: str | None = None) -> None:
        super().__init__(cron, timezone=timezone)
        self.zone, self.first, self.last = timezone, first, last

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next interval within both the bounds and Airflow's own restriction."""
        begins = [pendulum.parse(self.first), restriction.earliest]
        ends = [pendulum.parse(self.last) if self.last else None, restriction.latest]
        earliest = max(moment for moment in begins if moment is not None)
        latest = min((moment for moment in ends if moment is not None), default=None)
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval,
            restriction=TimeRestriction(earliest, latest, restriction.catchup),
        )

    def serialize(self) -> dict[str, Any]:
        """Return the arguments, for Airflow's database."""
        return {"cron": self._expression, "timezone": self.zone, "first": self.first, "last": self.last}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "BoundedCron":
        """Return what was serialised."""
        return cls(data["cron"], data["timezone"], first=data["first"], last=data["last"])
