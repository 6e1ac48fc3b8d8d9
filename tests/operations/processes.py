"""Which processes of an installation run: found by what they are, not by who started them."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from lockstep.services.process import is_alive


def belonging_to(folder: Path, *, but: Sequence[int] = ()) -> list[psutil.Process]:
    """Return the living processes whose command line, working folder or environment names a folder.

    Args:
        folder: State of an installation, or a run folder.
        but: Processes that may live, with all their children.
    """
    allowed = {psutil.Process().pid, *but}
    for pid in but:
        with contextlib.suppress(psutil.Error):
            allowed |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    found = [
        process for process in psutil.process_iter() if process.pid not in allowed and _names(process, str(folder))
    ]
    return [process for process in found if is_alive(process)]


def computing(folder: Path) -> list[psutil.Process]:
    """Return what computes a run: processes whose command line names its folder, and their children.

    They are the JVM, the Python driver, the Python workers, and steps.
    """
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()):
                found |= {process, *process.children(recursive=True)}
    return [process for process in found if is_alive(process)]


def gone_within(find: Callable[[], list[psutil.Process]], seconds: float) -> list[str]:
    """Wait until nothing is found; return what is found still."""
    deadline = time.monotonic() + seconds
    while (left := find()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [describe(process) for process in left]


def describe(process: psutil.Process) -> str:
    """Say what a process is."""
    with contextlib.suppress(psutil.Error):
        return f"{process.pid}: {' '.join(process.cmdline())[:200]}"
    return str(process.pid)


def _names(process: psutil.Process, folder: str) -> bool:
    with contextlib.suppress(psutil.Error):
        if folder in " ".join(process.cmdline()) or process.cwd().startswith(folder):
            return True
        return any(folder in value for value in process.environ().values())
    return False
