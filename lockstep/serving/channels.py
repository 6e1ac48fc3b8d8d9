"""How many micro-batches of a model may run at a time."""

import contextlib
import os
from pathlib import Path

from lockstep.scoring.pipeline import GPU_CHANNELS
from lockstep.scoring.scorer import Scorer

# What the scheduler gives to the container, at most: microseconds, and of how many.
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def channels_of(scorer: Scorer, *, cores: int) -> int:
    """Return how many threads may score with a model: on the processor one for each core.

    Args:
        scorer: The loaded model. One that must not be called by several threads at a time gets one.
        cores: For this process.
    """
    if not scorer.parallel:
        return 1
    return max(cores, 1) if scorer.device == "cpu" else GPU_CHANNELS


def cores_of_each(workers: int, *, quota: Path = QUOTA) -> int:
    """Return how many cores each of so many worker processes may use, at least one."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        usable = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        given, period = quota.read_text(encoding="ascii").split()
        usable = min(usable, int(given) // int(period))
    return max(usable // workers, 1)
