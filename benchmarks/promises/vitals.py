"""A server's memory, files and threads over a long run, and whether they stay what they were."""

import contextlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from benchmarks.contestant import descendants

# Of the run: what counts as warming up, and the part at either end that is compared.
WARM, TENTH = 0.2, 0.1


@dataclass(frozen=True)
class Vitals:
    """One look at all processes of a server.

    Attributes:
        requests: Answered by then.
        memory_mib: Pages that processes share are divided among them.
        files: Open descriptors.
        threads: Of all processes.
    """

    requests: float
    memory_mib: float
    files: int
    threads: int


def look(pid: int, requests: float) -> Vitals:
    """Look at a process and all below it."""
    memory, files, threads = 0, 0, 0
    for process in descendants(pid):
        with contextlib.suppress(psutil.Error):
            memory += process.memory_full_info().pss
            files += process.num_fds()
            threads += process.num_threads()
    return Vitals(requests, memory / 2**20, files, threads)


@dataclass(frozen=True)
class Bounds:
    """What may grow by how much.

    Attributes:
        last_half_mib: Memory over the last half of the run, by a straight line through it.
        since_warm_mib: Memory from after the warm-up to the end.
        files: Descriptors from after the warm-up to the end.
        threads: The same of threads.
    """

    last_half_mib: float = 16.0
    since_warm_mib: float = 48.0
    files: int = 16
    threads: int = 4


@dataclass(frozen=True)
class Growth:
    """What grew by how much; as in `Bounds`."""

    last_half_mib: float
    since_warm_mib: float
    files: float
    threads: float

    def beyond(self, bounds: Bounds) -> list[str]:
        """Say what grew beyond its bound."""
        grown = {
            "memory over the last half, in MiB": (self.last_half_mib, bounds.last_half_mib),
            "memory since the warm-up, in MiB": (self.since_warm_mib, bounds.since_warm_mib),
            "open files": (self.files, bounds.files),
            "threads": (self.threads, bounds.threads),
        }
        return [f"{name} grew by {by:.1f}; bound: {most:g}" for name, (by, most) in grown.items() if by > most]


def growth(seen: Sequence[Vitals], *, requests: int) -> Growth:
    """Reduce looks at a run of so many requests to what grew.

    Raises:
        ValueError: There are too few looks to say so.
    """

    def between(start: float, stop: float) -> list[Vitals]:
        found = [each for each in seen if start * requests <= each.requests <= stop * requests]
        if len(found) < 2:
            raise ValueError(f"{len(found)} looks between {start:.0%} and {stop:.0%} of the run say nothing")
        return found

    half, warm, end = between(0.5, 2.0), between(WARM, WARM + 2 * TENTH), between(1 - 2 * TENTH, 2.0)
    slope = np.polyfit([each.requests for each in half], [each.memory_mib for each in half], 1)[0]
    return Growth(
        last_half_mib=float(slope) * (half[-1].requests - half[0].requests),
        since_warm_mib=statistics.median(e.memory_mib for e in end) - statistics.median(w.memory_mib for w in warm),
        files=statistics.median(e.files for e in end) - statistics.median(w.files for w in warm),
        threads=statistics.median(e.threads for e in end) - statistics.median(w.threads for w in warm),
    )
