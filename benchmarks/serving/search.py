"""The highest rate of arrivals that a server answers in time."""

import math
from collections.abc import Callable

from benchmarks.serving.load import Measured

# Two rates closer than this are the same.
PRECISION = 1.04
STEPS = 8
UP, DOWN = 1.1, 0.85
# Of the arrivals that must be answered within the run itself.
KEPT_UP = 0.97


def highest_rate(measure: Callable[[float], Measured], *, first: float, p99_ms: float) -> Measured | None:
    """Search the highest rate without errors whose 99th percentile is within a limit.

    Args:
        measure: Puts an open loop of a rate on the server.
        first: Rate to begin with.
        p99_ms: The limit.

    Returns:
        What was seen at that rate; none when a quarter of the first was still too much.
    """
    best: Measured | None = None
    low, high, rate = 0.0, math.inf, first
    for _ in range(STEPS):
        seen = measure(rate)
        if keeps_up(seen, rate=rate, p99_ms=p99_ms):
            best, low = seen, rate
        else:
            high = rate
        if low and high / low < PRECISION:
            break
        rate = rate * UP if math.isinf(high) else rate * DOWN if not low else math.sqrt(low * high)
    return best


def keeps_up(seen: Measured, *, rate: float, p99_ms: float) -> bool:
    """Whether a rate was answered in time, without an error and without a growing queue."""
    return not seen.errors and seen.p99_ms is not None and seen.p99_ms <= p99_ms and seen.rps >= rate * KEPT_UP
