"""From the dates of an Airflow run to the day that is scored."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from lockstep.errors import DateInvalid
from lockstep.run.interval import finished_days, partition_of_run
from lockstep.specs.spec import Schedule

NEW_YORK = ZoneInfo("America/New_York")
SCHEDULE = Schedule(cron="0 6 * * *", timezone="America/New_York", start=dt.date(2013, 1, 30))
# Noon of 20 November 2026 in New York.
NOW = dt.datetime(2026, 11, 20, 17, tzinfo=dt.UTC)
YESTERDAY = dt.date(2026, 11, 19)


def partition(logical_date: dt.datetime | None, *, manual: bool, schedule: Schedule = SCHEDULE) -> dt.date:
    return partition_of_run(schedule, logical_date=logical_date, manual=manual, now=NOW)


def test_backfill_run_scores_the_day_on_which_its_interval_begins() -> None:
    begins = dt.datetime(2013, 8, 1, 6, tzinfo=NEW_YORK).astimezone(dt.UTC)
    assert partition(begins, manual=False) == dt.date(2013, 8, 1)


def test_day_is_that_of_the_specs_time_zone() -> None:
    tokyo = Schedule(cron="0 6 * * *", timezone="Asia/Tokyo", start=dt.date(2013, 1, 1))
    begins = dt.datetime(2013, 7, 31, 21, tzinfo=dt.UTC)  # 1 August, 06:00, in Tokyo
    assert partition(begins, manual=False, schedule=tokyo) == dt.date(2013, 8, 1)


def test_interval_that_begins_at_midnight_utc_is_no_bare_date_when_scheduled() -> None:
    evening = Schedule(cron="0 20 * * *", timezone="America/New_York", start=dt.date(2013, 1, 1))
    begins = dt.datetime(2013, 8, 2, 0, tzinfo=dt.UTC)  # 1 August, 20:00, in New York
    assert partition(begins, manual=False, schedule=evening) == dt.date(2013, 8, 1)
    assert partition(begins, manual=True, schedule=evening) == dt.date(2013, 8, 2)


def test_manual_run_with_a_bare_date_scores_that_date() -> None:
    assert partition(dt.datetime(2013, 8, 1, tzinfo=dt.UTC), manual=True) == dt.date(2013, 8, 1)


@pytest.mark.parametrize("logical_date", [None, NOW, NOW - dt.timedelta(hours=1)])
def test_manual_run_of_now_scores_the_latest_finished_day(logical_date: dt.datetime | None) -> None:
    assert partition(logical_date, manual=True) == YESTERDAY


def test_run_without_logical_date_is_no_error_when_not_manual() -> None:
    assert partition(None, manual=False) == YESTERDAY


@pytest.mark.parametrize(
    ("logical_date", "manual"),
    [
        (dt.datetime(2026, 11, 20, tzinfo=dt.UTC), True),  # today, asked for by its date
        (dt.datetime(2026, 11, 21, 15, tzinfo=dt.UTC), True),  # tomorrow
        (dt.datetime(2026, 11, 20, 11, tzinfo=dt.UTC), False),  # a scheduled run of today
    ],
)
def test_unfinished_day_is_refused(logical_date: dt.datetime, manual: bool) -> None:
    with pytest.raises(
        DateInvalid, match=r"is not over yet in America/New_York; the latest finished day is 2026-11-19"
    ):
        partition(logical_date, manual=manual)


def test_day_before_the_specs_first_day_is_refused() -> None:
    with pytest.raises(DateInvalid, match=r"is before schedule\.start 2013-01-30"):
        partition(dt.datetime(2013, 1, 29, tzinfo=dt.UTC), manual=True)


def test_day_after_the_clocks_went_back_is_one_day() -> None:
    begins = dt.datetime(2013, 11, 3, 6, tzinfo=NEW_YORK).astimezone(dt.UTC)
    assert partition(begins, manual=False) == dt.date(2013, 11, 3)


def test_the_last_finished_days_are_those_of_the_zone_and_of_the_schedule() -> None:
    assert finished_days(SCHEDULE, 2, now=NOW) == [YESTERDAY - dt.timedelta(days=1), YESTERDAY]
    ended = SCHEDULE.model_copy(update={"end": dt.date(2013, 2, 1)})
    assert [day.day for day in finished_days(ended, 9, now=NOW)] == [30, 31, 1]
