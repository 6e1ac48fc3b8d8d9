"""Memory of a worker: kept between batches, and running out of it: how it is recognised and seen coming."""

import contextlib
import ctypes
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa

# Below this share of what the process may use, batches are made smaller before the kernel has to kill somebody.
LOW_WATER = 0.05
LOOK_EVERY_S = 0.05
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
# How libraries that have no class for it say that an allocation failed.
TELLING = ("out of memory", "can't allocate memory", "failed to allocate memory", "bad allocation", "bad_alloc")
# Parameters of glibc's mallopt, and the largest block that it takes from its own heap (malloc.h, mallopt(3)).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 32 << 20


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for its next batch, instead of giving it back to the kernel.

    Batches are alike, so the memory of one serves the next; to return it and fetch it again, cleared page by page, cost
    a tenth of a worker's time. The peak is not higher. Arrow, which has an allocator of its own, uses the C library's.

    Returns:
        Whether it could be done: only with glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    if not (mallopt(M_TRIM_THRESHOLD, 1 << 30) and mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)):
        return False
    pa.set_memory_pool(pa.system_memory_pool())
    return True


def peak_bytes() -> int:
    """Return the largest resident memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory of the host or of a GPU ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ in {"OutOfMemoryError", "ArrowMemoryError"}:
        return True
    return isinstance(error, RuntimeError) and any(telling in str(error).lower() for telling in TELLING)


class MemoryWatch:
    """Looks now and then whether memory runs low: to ask the kernel takes longer than to score a row."""

    def __init__(self) -> None:
        self._low = False
        self._again = 0.0

    def is_low(self) -> bool:
        """Return what `host_is_low` said at most `LOOK_EVERY_S` ago."""
        now = time.monotonic()
        if now >= self._again:
            self._low = host_is_low()
            self._again = now + LOOK_EVERY_S
        return self._low


def host_is_low(*, meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> bool:
    """Whether less than `LOW_WATER` of the machine's, or of the container's, memory is left.

    Reads the kernel's own figures; where there are none (macOS), the answer is no.
    """
    total, available = _machine(meminfo)
    if total and available < LOW_WATER * total:
        return True
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is None or used is None:
        return False
    # Cached file pages count as used but are given back at need.
    reclaimable = _statistic(cgroup / "memory.stat", "inactive_file")
    return limit - used + reclaimable < LOW_WATER * limit


def _machine(meminfo: Path) -> tuple[int, int]:
    with contextlib.suppress(OSError, ValueError):
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(lines["MemTotal"].split()[0]), int(lines["MemAvailable"].split()[0])
    return 0, 0


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _statistic(path: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
