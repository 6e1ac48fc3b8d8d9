"""The bounds of a schedule bind the schedule and backfills, and no run that a person starts."""

import datetime as dt
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from lockstep.airflow.timetable import BoundedCron
from tests.dags.bags import parse

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FIRST, LAST = "2013-01-30T00:00:00-05:00", "2013-02-02T23:59:59-05:00"


def days(timetable: BoundedCron, *, catchup: bool = True) -> list[int]:
    """The days that a scheduler starts by itself, one after the other."""
    restriction, before, found = TimeRestriction(None, None, catchup), None, []
    while info := timetable.next_dagrun_info(last_automated_data_interval=before, restriction=restriction):
        found.append(info.logical_date.day)
        before = info.data_interval
        assert len(found) < 100
    return found


def test_schedule_begins_and_ends_with_its_days() -> None:
    timetable = BoundedCron("0 6 * * *", "America/New_York", first=FIRST, last=LAST)
    assert days(timetable) == [30, 31, 1, 2]
    assert days(timetable, catchup=False) == [], "all of them are over"
    assert days(BoundedCron.deserialize(timetable.serialize())) == [30, 31, 1, 2]


def test_schedule_without_an_end_goes_on() -> None:
    timetable = BoundedCron("0 6 * * *", "America/New_York", first=FIRST)
    info = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert info is not None
    assert dt.datetime.now(dt.UTC) - info.logical_date < dt.timedelta(days=3)


@pytest.fixture
def dag(models: Path) -> DAG:
    return parse().dags["score_flight_delay"]


def test_no_task_is_bound_so_that_a_run_by_hand_is_never_empty(dag: DAG) -> None:
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert (stored.start_date, stored.end_date) == (None, None)
    assert [(task.start_date, task.end_date) for task in stored.tasks] == [(None, None)] * len(dag.tasks)


def test_backfill_leaves_out_days_beyond_the_bounds(dag: DAG) -> None:
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    zone = dt.timezone(dt.timedelta(hours=-5))

    def found(first: dt.date, last: dt.date) -> list[str]:
        bounds = [dt.datetime.combine(day, dt.time(), zone) for day in (first, last)]
        return [f"{info.logical_date.astimezone(zone):%m-%d}" for info in stored.iter_dagrun_infos_between(*bounds)]

    assert found(dt.date(2013, 1, 28), dt.date(2013, 2, 1)) == ["01-30", "01-31"]
    assert found(dt.date(2023, 12, 30), dt.date(2024, 1, 5)) == ["12-30", "12-31"]
