"""Waiting for other writers: growing, jittered pauses up to a bound, told about now and then."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
TELL_EVERY_S = 5.0

log = logging.getLogger("lockstep.publish")


@dataclass(frozen=True)
class Patience:
    """How long to wait, and with which clock."""

    wait_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def attempts(self, what: str) -> Iterator[tuple[int, float]]:
        """Yield (attempt, seconds waited) until the caller is done or the time is up; there are at least two attempts.

        Args:
            what: What is waited for, for the log: a line every few seconds.
        """
        began, pause_s, told_s, attempt = self.clock(), FIRST_PAUSE_S, 0.0, 0
        while True:
            attempt += 1
            waited_s = self.clock() - began
            yield attempt, waited_s
            left_s = self.wait_s - (self.clock() - began)
            if left_s <= 0 and attempt > 1:
                return
            if waited_s - told_s >= TELL_EVERY_S:
                told_s = waited_s
                log.warning("waiting for %s: %.0f of %.0f s", what, waited_s, self.wait_s)
            self.sleep(max(0.0, min(pause_s * (0.5 + self.jitter()), left_s)))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
