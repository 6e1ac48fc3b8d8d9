"""Components (what to start) and running processes (what was started)."""

import contextlib
import io
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lockstep.services.log import Sink

TAIL_LINES = 25
KILL_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Component:
    """One long-lived process.

    Attributes:
        name: For the log.
        command: Command line.
        env: Its whole environment.
        cwd: Its working folder.
        ready: Whether it serves; asked again and again until it says so.
        ready_timeout_s: How long it may take to become ready, in seconds.
        stop_signal: What asks it to end.
        signal_group: Whether its children get the signal too.
        stop_timeout_s: How long it may take to end before it is killed, in seconds.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], bool] = lambda: True
    ready_timeout_s: float = 90.0
    stop_signal: int = signal.SIGTERM
    signal_group: bool = True
    stop_timeout_s: float = 6.0


class Running:
    """A started component: the leader of its own session, with its output read line by line."""

    def __init__(self, component: Component, *, sink: Sink) -> None:
        self.component = component
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.is_ready = False
        self._sink = sink
        self.process = subprocess.Popen(
            component.command,
            env=dict(component.env),
            cwd=component.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"log-{component.name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id, which is its session id too."""
        return self.process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self.process.poll()

    def ask_to_stop(self) -> None:
        """Send the component's stop signal."""
        send = os.killpg if self.component.signal_group else os.kill
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(self.pid, self.component.stop_signal)

    def drain(self) -> None:
        """Wait a moment for the last lines of an ended process."""
        self._reader.join(timeout=1.0)

    def _read(self) -> None:
        with self.process.stdout or io.BytesIO() as stream:
            for raw in stream:
                line = raw.decode("utf-8", errors="replace").rstrip()
                self.tail.append(line)
                self._sink(self.component.name, line)


def family(pids: Sequence[int]) -> set[psutil.Process]:
    """Return the living processes among `pids`, their descendants, and whoever else is in their sessions."""
    found: set[psutil.Process] = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found |= {psutil.Process(pid), *psutil.Process(pid).children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) in pids:
                found |= {process, *process.children(recursive=True)}
    return {process for process in found if process.pid != os.getpid()}


def kill(processes: set[psutil.Process]) -> None:
    """Kill those that still live (a process id that was taken over by another process is left alone)."""
    living = {process for process in processes if is_alive(process)}
    for process in living:
        with contextlib.suppress(psutil.Error):
            process.kill()
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while any(is_alive(process) for process in living) and time.monotonic() < deadline:
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
