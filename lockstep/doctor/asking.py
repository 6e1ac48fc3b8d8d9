"""Ask another interpreter something, within a time, and leave nothing of it behind."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LONGEST_REASON = 200


class NoAnswer(Exception):
    """A program did not start, did not end in time, or said something else; the text says which."""


@dataclass
class Asker:
    """Starts programs and reads the JSON that they print last; `stop` ends those that still run.

    Attributes:
        environ: Their environment.
        timeout_s: How long each may take.
    """

    environ: Mapping[str, str]
    timeout_s: float
    _running: set["subprocess.Popen[str]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def ask(self, command: Sequence[str]) -> Any:
        """Run a program and return the document on the last line of its standard output.

        Raises:
            NoAnswer: It has none.
        """
        try:
            # A session of its own: what it starts is ended with it, and Ctrl-C is ours to pass on.
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=dict(self.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise NoAnswer(f"{command[0]} does not start: {error.strerror}") from error
        try:
            self._note(child)
            out, err = child.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"no answer within {self.timeout_s:g} s") from None
        finally:
            self._end(child)
        try:
            return json.loads(out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise NoAnswer(_reason(err, child.returncode)) from None

    def stop(self) -> None:
        """End what still runs, and let nothing more begin."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for child in running:
            _kill(child)

    def _note(self, child: "subprocess.Popen[str]") -> None:
        with self._lock:
            self._running.add(child)
            if self._stopped:
                raise NoAnswer("it was stopped")

    def _end(self, child: "subprocess.Popen[str]") -> None:
        _kill(child)
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            child.communicate(timeout=1)
        with self._lock:
            self._running.discard(child)


def _kill(child: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _reason(err: str, code: int) -> str:
    """Return the kind of the error that a program ended with; what it says of it may hold secrets."""
    last = next((line for line in reversed(err.strip().splitlines()) if line.strip()), "")
    kind = last.partition(":")[0].strip()
    told = kind if kind.replace(".", "").replace("_", "").isalnum() else "it said nothing of use"
    return f"it ended with exit code {code}: {told}"[:LONGEST_REASON]
