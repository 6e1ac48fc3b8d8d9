"""Running out of memory: how it is recognised, and how it is seen coming."""

import contextlib
from pathlib import Path

# Below this share of what the process may use, batches are made smaller before the kernel has to kill somebody.
LOW_WATER = 0.05
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
# How libraries that have no class for it say that an allocation failed.
TELLING = ("out of memory", "can't allocate memory", "failed to allocate memory", "bad allocation", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory of the host or of a GPU ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ in {"OutOfMemoryError", "ArrowMemoryError"}:
        return True
    return isinstance(error, RuntimeError) and any(telling in str(error).lower() for telling in TELLING)


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
