"""What runs in a home: a lock that one supervisor holds, and a record by which leftovers are found.

The lock is the kernel's and goes with its holder, so it is never stale. The record names processes by id *and* start
time, so a process id that belongs to somebody else today is never touched.
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lockstep.services.errors import AlreadyRunning
from lockstep.services.process import family, is_alive, kill

LEFTOVER_TIMEOUT_S = 8.0
SAME_START_S = 2.0


@dataclass(frozen=True)
class ServiceState:
    """The lock and the record of one home."""

    home: Path

    @property
    def folder(self) -> Path:
        """Where both lie."""
        return self.home / "services"

    @property
    def record(self) -> Path:
        """The record of what was started."""
        return self.folder / "running.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; a second holder raises `AlreadyRunning`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                record = self.read()
                raise AlreadyRunning(self.home, pid=record.get("supervisor"), urls=record.get("urls", [])) from error
            yield

    def read(self) -> dict[str, Any]:
        """Return the record; empty when there is none."""
        try:
            value: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return value

    def write(self, processes: Sequence[tuple[str, int, int]], *, urls: Sequence[str]) -> None:
        """Record `(name, pid, stop signal)` of what runs, in the order in which it was started."""
        entries = []
        for name, pid, stop_signal in processes:
            with contextlib.suppress(psutil.Error):
                started = psutil.Process(pid).create_time()
                entries.append({"name": name, "pid": pid, "started": started, "stop_signal": stop_signal})
        partial = self.record.with_suffix(".partial")
        partial.write_text(json.dumps({"supervisor": os.getpid(), "urls": list(urls), "processes": entries}, indent=2))
        partial.replace(self.record)

    def clear(self) -> None:
        """Forget the record."""
        self.record.unlink(missing_ok=True)

    def stop_leftovers(self) -> list[str]:
        """Stop what a killed supervisor left running, last started first; return the names."""
        names = []
        for entry in reversed(self.read().get("processes", [])):
            if _is_same(entry):
                names.append(str(entry["name"]))
                _stop(entry)
        self.clear()
        return names


def _is_same(entry: dict[str, Any]) -> bool:
    try:
        process = psutil.Process(entry["pid"])
        return is_alive(process) and abs(process.create_time() - entry["started"]) < SAME_START_S
    except psutil.Error:
        return False


def _stop(entry: dict[str, Any]) -> None:
    members = family([entry["pid"]])
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if entry["stop_signal"] == signal.SIGTERM:
            os.killpg(entry["pid"], signal.SIGTERM)
        else:
            os.kill(entry["pid"], entry["stop_signal"])
    deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
    while time.monotonic() < deadline and _is_same(entry):
        time.sleep(0.1)
    kill(members | family([entry["pid"]]))
