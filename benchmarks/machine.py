"""What was measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil


def restrict_cores(cores: int) -> int:
    """Restrict this process and all it starts to the first `cores` cores; return how many they are."""
    if not hasattr(os, "sched_setaffinity"):
        return min(cores, os.cpu_count() or 1)
    usable = sorted(os.sched_getaffinity(0))[:cores]
    os.sched_setaffinity(0, usable)
    return len(usable)


def describe(cores: int) -> dict[str, Any]:
    """Return facts of this machine that speed depends on; nothing that names it."""
    return {
        "processor": _processor(),
        "cores_used": cores,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
