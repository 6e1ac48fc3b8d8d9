"""Days and windows of days."""

import datetime as dt

import pytest

from lockstep.errors import DateInvalid
from lockstep.run.partition import days_between, parse_partition, window

DAY = dt.date(2013, 8, 1)


def test_a_day_is_parsed() -> None:
    assert parse_partition("2013-08-01") == DAY


@pytest.mark.parametrize(
    "text", ["2013-8-1", "20130801", "2013-02-30", "yesterday", "", "2013-08-01T00:00:00", "20130801xx"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DateInvalid, match="YYYY-MM-DD"):
        parse_partition(text)


def test_days_between_holds_both_ends() -> None:
    assert [d.day for d in days_between(DAY, dt.date(2013, 8, 3))] == [1, 2, 3]
    with pytest.raises(DateInvalid, match="ends before it begins"):
        list(days_between(DAY, dt.date(2013, 7, 31)))


def test_a_window_is_relative_to_the_partition() -> None:
    assert window(DAY, (-29, -2)) == (dt.date(2013, 7, 3), dt.date(2013, 7, 30))
