import itertools
import logging

import pytest

from lockstep.publish.patience import Patience


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s


def attempts(wait_s: float) -> list[tuple[int, float]]:
    clock = Clock()
    patience = Patience(wait_s, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5)
    return list(patience.attempts("the lock"))


def test_pauses_grow_and_the_last_one_ends_with_the_time() -> None:
    found = attempts(5)
    assert [attempt for attempt, _ in found] == list(range(1, len(found) + 1))
    pauses = [b - a for (_, a), (_, b) in itertools.pairwise(found)]
    assert pauses[:6] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0])
    assert found[-1][1] == pytest.approx(5)


def test_without_time_there_are_two_attempts() -> None:
    assert attempts(0) == [(1, 0.0), (2, 0.0)]


def test_it_tells_that_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lockstep.publish"):
        attempts(12)
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for the lock: 6 of 12 s",
        "waiting for the lock: 11 of 12 s",
    ]
