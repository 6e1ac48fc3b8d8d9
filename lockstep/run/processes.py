"""Child processes that never outlive their parent."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
GRACE_S = 10.0
POLL_S = 0.2


def die_with_parent() -> None:
    """Ask Linux to send SIGTERM to this process when its parent dies; for `preexec_fn`. Elsewhere: nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def run_logged(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    timeout_s: float,
    on_poll: Callable[[], None],
) -> int | None:
    """Run a command to its end with its output in a file.

    Whatever ends the wait (Ctrl-C, SIGTERM, time-out), the child's whole process group is stopped first.

    Args:
        command: The command line.
        env: Variables on top of this process's environment.
        log: File that gets standard output and error.
        timeout_s: Longest run, in seconds.
        on_poll: Called a few times a second.

    Returns:
        The exit code, or none after a time-out.
    """
    with log.open("wb") as stream:
        child = start(command, env=env, stream=stream)
        try:
            return _wait(child, timeout_s=timeout_s, on_poll=on_poll)
        finally:
            stop(child)


def start(command: Sequence[str], *, env: Mapping[str, str], stream: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start a child in a process group of its own that dies with this process."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        env={**os.environ, **env},
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, safe after fork
    )


def _wait(child: "subprocess.Popen[bytes]", *, timeout_s: float, on_poll: Callable[[], None]) -> int | None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            return child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            on_poll()
    return None


def stop(child: "subprocess.Popen[bytes]", *, grace_s: float = GRACE_S) -> None:
    """Stop a child's process group: SIGTERM, and SIGKILL after `grace_s` seconds; a finished child is left alone."""
    if child.poll() is not None:
        return
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
