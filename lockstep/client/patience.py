"""Trying again, only where it is safe, and never beyond one deadline."""

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lockstep.client.errors import AnswerTooLate, ConnectionFailed, EndpointBusy

# Pauses grow from the first to the longest; each is drawn between half of it and all of it.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
# Nobody listens: perhaps an endpoint that is just being started again, perhaps a wrong port.
REFUSED_TRIES = 5

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Deadline:
    """When an answer is no longer wanted.

    Attributes:
        timeout_s: How long that was from the start.
        at: When, by `time.monotonic`.
    """

    timeout_s: float
    at: float

    @classmethod
    def after(cls, timeout_s: float) -> "Deadline":
        """Return the deadline so long from now."""
        return cls(timeout_s, time.monotonic() + timeout_s)

    @property
    def left_s(self) -> float:
        """Seconds until then; 0 or less: it has passed."""
        return self.at - time.monotonic()

    def require(self, url: str) -> float:
        """Return the seconds until then, or raise `AnswerTooLate`."""
        left = self.left_s
        if left <= 0:
            raise AnswerTooLate(url, timeout_s=self.timeout_s)
        return left


def patiently(
    ask: Callable[[], ResultT],
    deadline: Deadline,
    *,
    sleep: Callable[[float], None] = time.sleep,
    chance: Callable[[], float] = random.random,
) -> ResultT:
    """Ask until there is an answer, for as long as the endpoint says when to come back, or nobody listens yet.

    Args:
        ask: Sends one request; what it raises beside `EndpointBusy` and `ConnectionFailed` is final.
        deadline: Of all tries together. When the next one would be later, the last error counts.
        sleep: Waits so many seconds.
        chance: Draws from 0 to 1, for the jitter.

    Raises:
        EndpointBusy: It is busy for longer, or does not say when to come back.
        ConnectionFailed: The connection broke, or nobody listens.
    """
    for attempt in itertools.count():
        try:
            return ask()
        except EndpointBusy as error:
            if error.retry_after_s is None:
                raise
            pause_s = error.retry_after_s + _pause_s(attempt, chance)
            if pause_s >= deadline.left_s:
                raise
        except ConnectionFailed as error:
            pause_s = _pause_s(attempt, chance)
            if not error.refused or attempt + 1 >= REFUSED_TRIES or pause_s >= deadline.left_s:
                raise
        sleep(pause_s)
    raise AssertionError("counts for ever")


def _pause_s(attempt: int, chance: Callable[[], float]) -> float:
    longest = min(FIRST_PAUSE_S * 2.0 ** min(attempt, 16), LONGEST_PAUSE_S)
    return longest * (1 + chance()) / 2
