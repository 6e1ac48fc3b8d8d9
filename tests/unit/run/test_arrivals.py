"""From what asset events say to days."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import DateInvalid
from lockstep.run.arrivals import days_named

DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))


@given(st.lists(DAYS), st.lists(DAYS), st.lists(st.none() | st.just("")))
def test_every_day_that_is_named_is_found_once_in_order(
    keys: list[dt.date], extras: list[dt.date], nothing: list[str | None]
) -> None:
    named = days_named([*nothing, *(f"{day}" for day in keys)], [{"partition": f"{day}"} for day in extras])
    assert named == sorted({*keys, *extras})


@pytest.mark.parametrize(
    "key", ["2013-08-01", "2013-08-01T00:00:00", "2013-08-01 23:59:59", "2013-08-01T06:00:00-04:00"]
)
def test_a_key_is_a_day_or_a_moment_of_it(key: str) -> None:
    assert days_named([key], []) == [dt.date(2013, 8, 1)]


def test_events_that_name_no_day_are_none() -> None:
    assert days_named([None, ""], [{}, {"rows": 3}, {"partition": None}]) == []


@pytest.mark.parametrize("text", ["eu", "2013-08", "2013-08-01Tnoon", "20130801T000000", "2013-08-011", "20130801xx"])
def test_what_is_no_day_is_refused(text: str) -> None:
    for keys, extras in (([text], []), ([], [{"partition": text}])):
        with pytest.raises(DateInvalid, match="whoever updates the asset must name the day"):
            days_named(keys, extras)


def test_a_number_is_no_day() -> None:
    with pytest.raises(DateInvalid):
        days_named([], [{"partition": 7}])
