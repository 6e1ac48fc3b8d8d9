"""Asking again: only what is safe, never beyond the deadline."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.client import patience
from lockstep.client.errors import AnswerTooLate, ConnectionFailed, EndpointBusy, EndpointFailed
from lockstep.client.patience import LONGEST_PAUSE_S, REFUSED_TRIES, Deadline, patiently


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(patience.time, "monotonic", made.monotonic)
    return made


def busy(retry_after_s: float | None) -> EndpointBusy:
    return EndpointBusy("http://x", "503", "much to do", request_id="r", retry_after_s=retry_after_s)


def failing(*errors: Exception) -> Callable[[], str]:
    left: Iterator[Exception] = iter(errors)

    def ask() -> str:
        for error in left:
            raise error
        return "answer"

    return ask


def test_a_busy_endpoint_is_asked_again_when_it_says_so(clock: Clock) -> None:
    answer = patiently(failing(busy(1), busy(2)), Deadline.after(60), sleep=clock.sleep, chance=lambda: 0.5)
    assert answer == "answer"
    assert [round(pause, 3) for pause in clock.slept] == [1.075, 2.15]


@pytest.mark.parametrize(
    "error",
    [
        busy(None),
        ConnectionFailed("http://x", problem="broke"),
        EndpointFailed("http://x", "500", "bug", request_id="r"),
        AnswerTooLate("http://x", timeout_s=1),
    ],
)
def test_what_is_not_safe_or_not_said_to_help_is_final(error: Exception, clock: Clock) -> None:
    with pytest.raises(type(error)):
        patiently(failing(error), Deadline.after(60), sleep=clock.sleep)
    assert clock.slept == []


def test_nobody_listens_for_long(clock: Clock) -> None:
    refused = [ConnectionFailed("http://x", problem="refused", refused=True)] * 50
    with pytest.raises(ConnectionFailed):
        patiently(failing(*refused), Deadline.after(600), sleep=clock.sleep)
    assert len(clock.slept) == REFUSED_TRIES - 1


@given(
    waits=st.lists(st.floats(0, 20), min_size=1, max_size=40),
    timeout_s=st.floats(0.1, 60),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_try_begins_after_the_deadline(waits: list[float], timeout_s: float, chance: float) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patience.time, "monotonic", clock.monotonic)
        deadline = Deadline.after(timeout_s)
        times: list[float] = []
        ask = failing(*(busy(wait) for wait in waits))

        def timed() -> Any:
            times.append(deadline.left_s)
            return ask()

        try:
            assert patiently(timed, deadline, sleep=clock.sleep, chance=lambda: chance) == "answer"
        except EndpointBusy:
            assert len(times) <= len(waits)
    assert all(left > 0 for left in times)
    assert all(wait <= pause <= wait + LONGEST_PAUSE_S for wait, pause in zip(waits, clock.slept, strict=False))


def test_a_passed_deadline_says_how_long_it_was(clock: Clock) -> None:
    deadline = Deadline.after(2.5)
    assert deadline.require("http://x") == 2.5
    clock.sleep(2.5)
    with pytest.raises(AnswerTooLate, match=r"http://x did not answer within 2\.5 s"):
        deadline.require("http://x")
