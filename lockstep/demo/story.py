"""How the demo talks: numbered steps with what they do and how long they took; richer on a terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from lockstep.cli.terminal import rich_console

PLAIN_WIDTH = 120
PROGRESS_EVERY_S = 5.0


class Story:
    """Writes the demo's account of itself."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self._console = rich_console(soft_wrap=True, width=None if terminal else PLAIN_WIDTH)
        self._number = 0
        self._last = ("", 0.0)
        self.began = time.monotonic()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Tell one step; the body gets a function for its result."""
        self._number += 1
        began = time.monotonic()
        self._console.print(f"\n[bold]{self._number}. {title}[/bold]")
        told = [""]
        with contextlib.ExitStack() as stack:
            self._status = stack.enter_context(self._console.status("")) if self._console.is_terminal else None
            yield lambda text: told.__setitem__(0, text)
        self._status = None
        self._console.print(
            f"   done in {time.monotonic() - began:.1f} s" + (f": {told[0]}" if told[0] else ""), markup=False
        )

    def progress(self, text: str) -> None:
        """Show where a step is; on a terminal in place, elsewhere as a line now and then, when it changed."""
        if self._status is not None:
            self._status.update(text)
        elif text != self._last[0] and time.monotonic() - self._last[1] > PROGRESS_EVERY_S:
            self._last = (text, time.monotonic())
            self.say(text)

    def say(self, text: str) -> None:
        """Say something."""
        self._console.print(f"   {text}", markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show a small table."""
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        self._console.print(table)

    _status: Any = None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def disk_bytes(*folders: Path) -> int:
    """Return the size of the files in some folders; hard links are counted once."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for file in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if not file.is_symlink() and file.is_file():
                    status = file.stat()
                    seen[(status.st_dev, status.st_ino)] = status.st_size
    return sum(seen.values())
