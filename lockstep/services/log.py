"""One log for many processes: each line has the name of its component in front."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

Sink = Callable[[str, str], None]

COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92")
NAME_WIDTH = 13


class TerminalLog:
    """Writes lines to a terminal or a pipe; colours names on a terminal only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._colours: dict[str, str] = {}

    def __call__(self, name: str, line: str) -> None:
        """Write one line of one component."""
        label = f"{name:<{NAME_WIDTH}}|"
        with self._lock:
            if self._stream.isatty():
                colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
                label = f"\x1b[{colour}m{label}\x1b[0m"
            try:
                self._stream.write(f"{label} {line}\n")
                self._stream.flush()
            except (OSError, ValueError):
                # The reader of the log is gone (closed terminal, `| head`): the services are stopped all the same.
                pass


class FileLog:
    """Appends lines to a file, for when the terminal shows something else."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        path.write_text("", encoding="utf-8")

    def __call__(self, name: str, line: str) -> None:
        """Write one line of one component."""
        with self._lock, self.path.open("a", encoding="utf-8") as stream:
            stream.write(f"{name:<{NAME_WIDTH}}| {line}\n")
