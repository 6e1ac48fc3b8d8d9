"""A real shell in a pseudo-terminal: somebody types commands into it, and all that it shows is kept with its times."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tools.recording.screens import Event

# An invisible mark before each prompt says how the command before it ended.
PROMPT = r"\[\e]133;D;$?\a\]\[\e[1;32m\]$\[\e[0m\] "
ENDED = re.compile(rb"\x1b\]133;D;(\d+)\x07")
SHELL = ("bash", "--noprofile", "--norc", "--noediting", "-i")
KEYS, KEY_S, READING_S = 3, 0.07, 1.2


class CommandFailed(Exception):
    """A command that was to be recorded failed, or did not end."""


def record(
    commands: Sequence[str], *, folder: Path, env: Mapping[str, str], columns: int, rows: int, timeout_s: float
) -> list[Event]:
    """Type commands one after the other, as a person would, each when the one before has ended.

    Args:
        commands: For bash.
        folder: Where it begins.
        env: Its whole environment.
        columns: Width of the terminal.
        rows: Height.
        timeout_s: Of each command.

    Raises:
        CommandFailed: An exit code is not 0, or the time is over.
    """
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - another process
        os.chdir(folder)
        os.execvpe(SHELL[0], SHELL, {**env, "PS1": PROMPT, "TERM": "xterm-256color"})  # noqa: S606 - it is a shell
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    events: list[Event] = []
    try:
        _until_prompt(terminal, events, command="", timeout_s=timeout_s)
        for command in commands:
            _type(terminal, events, command)
            code = _until_prompt(terminal, events, command=command, timeout_s=timeout_s)
            if code != 0:
                said = b"".join(event.data for event in events).decode(errors="replace")
                raise CommandFailed(f"{command!r} ended with exit code {code}, expected 0:\n{said[-2000:]}")
            _listen(terminal, events, for_s=READING_S)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
        os.close(terminal)
        os.waitpid(pid, 0)
    return events


def _type(terminal: int, events: list[Event], command: str) -> None:
    for start in range(0, len(command), KEYS):
        os.write(terminal, command[start : start + KEYS].encode())
        _listen(terminal, events, for_s=KEY_S)
    os.write(terminal, b"\n")


def _until_prompt(terminal: int, events: list[Event], *, command: str, timeout_s: float) -> int:
    """Listen until the shell asks for the next command; return the exit code of the last."""
    first, deadline = len(events), time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        _listen(terminal, events, for_s=0.1)
        if found := ENDED.search(b"".join(event.data for event in events[first:])):
            return int(found[1])
    raise CommandFailed(f"{command!r} was not done after {timeout_s:g} s")


def _listen(terminal: int, events: list[Event], *, for_s: float) -> None:
    deadline = time.monotonic() + for_s
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            return
        try:
            data = os.read(terminal, 65536)
        except OSError as error:  # what Linux answers when the other side is gone
            raise CommandFailed("the shell has ended") from error
        if not data:
            raise CommandFailed("the shell has ended")
        events.append(Event(time.monotonic(), data))
