"""What a command shows: a progress display on a terminal, plain lines elsewhere, JSON for machines."""

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lockstep.cli.terminal import rich_console
from lockstep.run.logs import is_json

STATE_LEVELS = {
    "done": logging.INFO,
    "ok": logging.INFO,
    "skipped": logging.INFO,
    "warning": logging.WARNING,
    "stopped": logging.WARNING,
    "problem": logging.ERROR,
    "failed": logging.ERROR,
}
# On a terminal, and elsewhere.
MARKS = {
    "done": ("[green]✓[/green]", "ok  "),
    "ok": ("[green]✓[/green]", "ok  "),
    "skipped": ("[dim]-[/dim]", "-   "),
    "warning": ("[yellow]![/yellow]", "WARN"),
    "stopped": ("[yellow]■[/yellow]", "STOP"),
    "problem": ("[red]✗[/red]", "FAIL"),
    "failed": ("[red]✗[/red]", "FAIL"),
}

log = logging.getLogger("lockstep.run")


class Console:
    """Shows steps as they run; all of it on standard error when standard output is for a machine.

    Attributes:
        machine: Whether it is.
    """

    def __init__(self, *, machine: bool) -> None:
        self.machine = machine
        self._logs = is_json(os.environ)
        self._rich = rich_console(stderr=machine, soft_wrap=True)
        self._bar: Progress | None = None

    def title(self, text: str) -> None:
        """Begin a section."""
        if self._logs:
            log.info("%s", text)
            return
        self._rich.print(f"[bold]{text}[/bold]")

    def note(self, text: str) -> None:
        """Say something."""
        if self._logs:
            log.info("%s", text)
            return
        self._rich.print(text, markup=False)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show a step while it runs and one line when it ends; the body is given a function for its figures."""
        began, told = time.monotonic(), [""]
        with contextlib.ExitStack() as stack:
            if self._rich.is_terminal and not self._logs:
                columns = (
                    SpinnerColumn(),
                    TextColumn("{task.description}"),
                    BarColumn(),
                    TimeElapsedColumn(),
                    TextColumn("{task.fields[text]}", markup=False),
                )
                self._bar = stack.enter_context(Progress(*columns, console=self._rich, transient=True))
                self._bar.add_task(name, total=None, text="")
            try:
                yield lambda text: told.__setitem__(0, text)
            except BaseException as error:
                if isinstance(error, Exception):
                    self._line("failed", name, began, type(error).__name__)
                else:
                    self._line("stopped", name, began, "what is finished is kept; the same command goes on from here")
                raise
            finally:
                self._bar = None
        self._line("done", name, began, told[0])

    @contextlib.contextmanager
    def finding(self, name: str) -> Iterator[Callable[[str, str, str], None]]:
        """Show a part of an examination while it lasts; the body is given a function for state, text and what to do."""
        began, told = time.monotonic(), [("stopped", "", "")]
        with contextlib.ExitStack() as stack:
            if self._rich.is_terminal and not self._logs:
                stack.enter_context(self._rich.status(name))
            yield lambda state, text, to_do: told.__setitem__(0, (state, text, to_do))
        state, text, to_do = told[0]
        lines = [line for line in text.splitlines() if line]
        self._line(state, name, began, lines[0] if lines else "")
        for line in lines[1:]:
            self._indented(line)
        if to_do:
            self._indented(f"to do: {to_do}")

    def _indented(self, text: str) -> None:
        """Say more of the line above."""
        if self._logs:
            log.info("%s", text)
            return
        self._rich.print(f"{'':7}{text}", markup=False)

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Move the bar of the step that runs, in rows, and say something behind it."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, text=text)

    def result(self, facts: dict[str, Any]) -> None:
        """Give the outcome of a run: one JSON line for a machine, the places to look for a person."""
        if self.machine:
            print(json.dumps(facts, default=str), flush=True)
            return
        if self._logs:
            log.info("done", extra={"facts": facts})
            return
        for key in ("would", "live_run_key", "table", "run_folder", "report"):
            if key in facts:
                self._rich.print(f"  {key.replace('_', ' ')}: {facts[key]}", markup=False)

    def _line(self, state: str, name: str, began: float, text: str) -> None:
        if self._logs:
            facts = {"step": name, "state": state, "seconds": round(time.monotonic() - began, 3)}
            log.log(STATE_LEVELS[state], "%s %s: %s", name, state, text, extra={"facts": facts})
            return
        mark = MARKS[state][0 if self._rich.is_terminal else 1]
        seconds = f"{time.monotonic() - began:6.1f} s"
        self._rich.print(f"  {mark} {name:<12} {seconds}  ", end="")
        self._rich.print(text, markup=False)
        sys.stdout.flush()
