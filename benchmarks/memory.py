"""Memory of a system's processes over time."""

import contextlib
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil

from benchmarks.contestant import descendants

EVERY_S = 0.5
MB = 2**20


@dataclass
class MemoryTrace:
    """Resident memory in MB, sampled while a run lasts.

    Pages that a worker shares with the process it was forked from count for both.
    """

    every_s: float = EVERY_S
    seconds: list[float] = field(default_factory=list)
    total: list[int] = field(default_factory=list)
    python: list[int] = field(default_factory=list)
    java: list[int] = field(default_factory=list)
    largest_python: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the samples and their peaks."""
        peaks = {f"peak_{name}": max(getattr(self, name), default=0) for name in SERIES}
        return {"unit": "MB", **peaks, **asdict(self)}


SERIES = ("total", "python", "java", "largest_python")


class MemorySampler:
    """Samples a process and all below it, in a thread, between `with` and its end."""

    def __init__(self, pid: int) -> None:
        self.trace = MemoryTrace()
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        began = time.monotonic()
        while True:
            java, python = _resident(self._pid)
            self.trace.seconds.append(round(time.monotonic() - began, 2))
            self.trace.java.append(sum(java) // MB)
            self.trace.python.append(sum(python) // MB)
            self.trace.total.append((sum(java) + sum(python)) // MB)
            self.trace.largest_python.append(max(python, default=0) // MB)
            if self._done.wait(EVERY_S):
                return


def _resident(pid: int) -> tuple[list[int], list[int]]:
    """Return the resident bytes of the Java processes and of all others."""
    java: list[int] = []
    others: list[int] = []
    for process in descendants(pid):
        with contextlib.suppress(psutil.Error):
            (java if "java" in process.name() else others).append(process.memory_info().rss)
    return java, others
