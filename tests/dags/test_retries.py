"""Which failures a task outlasts."""

import datetime as dt
from itertools import pairwise

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction, RetryDecision
from airflow.sdk.exceptions import AirflowException

from lockstep.airflow.retries import (
    CRASH_RETRIES,
    FIRST_DELAY,
    LONGEST_DELAY,
    RETRIES,
    Patience,
    TryLater,
    delay_after,
    telling,
)

CRASH, LATER = (
    AirflowException("killed by signal 9"),
    telling(TryLater("log\nregistry"), "the registry is silent\nat x"),
)


def decide(error: BaseException, failures: int, *, cleared: int = 0) -> RetryDecision:
    """What follows the n-th failure of a task that somebody cleared after so many tries."""
    return Patience().evaluate(error, cleared + failures, cleared + RETRIES)


@pytest.mark.parametrize("cleared", [0, 3, 30])
def test_what_costs_nothing_outlasts_minutes_and_a_crash_does_not_come_back_for_ever(cleared: int) -> None:
    for failures in range(1, RETRIES + 1):
        assert decide(LATER, failures, cleared=cleared).action == RetryAction.RETRY
        wanted = RetryAction.RETRY if failures <= CRASH_RETRIES else RetryAction.FAIL
        assert decide(CRASH, failures, cleared=cleared).action == wanted
    patience = sum((decide(LATER, n).retry_delay or dt.timedelta() for n in range(1, RETRIES + 1)), dt.timedelta())
    assert patience > dt.timedelta(minutes=15)


def test_delays_grow_from_seconds_to_minutes_and_no_further() -> None:
    delays = [delay_after(n) for n in range(1, 40)]
    assert delays[0] == FIRST_DELAY
    assert delays[-1] == LONGEST_DELAY
    assert all(first <= then for first, then in pairwise(delays))


def test_the_decision_says_why_in_one_line() -> None:
    assert decide(LATER, 1).reason == "the registry is silent"
    assert decide(TimeoutError(), 1).reason == "TimeoutError"
