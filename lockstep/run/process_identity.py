"""Which process something belongs to, so that another process can tell whether that one still lives."""

import os
import platform
from pathlib import Path

from lockstep.run.plan import Record

PROC = Path("/proc")
START_TIME = 19  # of /proc/<pid>/stat, counted behind the name, which may hold blanks
STATE = 0


class Identity(Record):
    """A process.

    Attributes:
        machine: Boot and process namespace of a Linux kernel; elsewhere the host. Process ids of two processes with the
            same text mean the same.
        started: When it began, in ticks since the boot: a process id is used again. Empty: not known here.
    """

    host: str
    machine: str
    pid: int
    started: str


def own_identity() -> Identity:
    """Return the identity of this process."""
    host = platform.node() or "unknown"
    return Identity(host=host, machine=_machine(host), pid=os.getpid(), started=_started(os.getpid()) or "")


def is_gone(process: Identity) -> bool:
    """Whether a process of this machine has ended; of another one nobody here can tell."""
    if process.machine != _machine(platform.node() or "unknown"):
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is there, and somebody else's
        pass
    return bool(process.started) and _started(process.pid) != process.started


def _machine(host: str) -> str:
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return host


def _started(pid: int) -> str | None:
    """Return the start time of a process; none: there is no such process, it waits to be reaped, or nobody can tell."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[STATE] in "ZX" else fields[START_TIME]
