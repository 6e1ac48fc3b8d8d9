"""What a terminal shows while bytes arrive: frames, each for as long as it was seen, and long waits made short."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import NamedTuple

import pyte
from pyte.screens import Char

# Bytes that arrive this soon after others belong to the same picture.
TOGETHER_S = 0.03
# What rich shows before a line that is still at work.
SPINNER = frozenset("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")


class Event(NamedTuple):
    """Bytes that a terminal got."""

    at_s: float
    data: bytes


class Style(NamedTuple):
    """How a character looks; colours as pyte names them: `default`, a name, or six hexadecimal digits."""

    ink: str = "default"
    ground: str = "default"
    bold: bool = False
    italic: bool = False
    underlined: bool = False


class Run(NamedTuple):
    """Characters of one style side by side.

    Attributes:
        column: Of the first one, from 0.
        width: In columns.
    """

    column: int
    width: int
    text: str
    style: Style


Line = tuple[Run, ...]


@dataclass(frozen=True)
class Frame:
    """One picture: all lines, the place of the cursor (row, column) unless it is hidden, and how long it is seen."""

    lines: tuple[Line, ...]
    cursor: tuple[int, int] | None
    seconds: float

    def text(self) -> str:
        """What a reader can read."""
        return "\n".join(" ".join(run.text for run in line) for line in self.lines)


def frames_of(
    events: Sequence[Event], *, columns: int, rows: int, instead: Mapping[str, str] | None = None
) -> list[Frame]:
    """Show bytes on a terminal.

    Args:
        events: In order.
        columns: Width of the terminal.
        rows: Height.
        instead: Text to what is shown in its place, such as a folder of this machine to `~`.

    Returns:
        Every picture that differs from the one before, with the seconds until the next; the last has 0.
    """
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    seen: list[tuple[float, Frame]] = []
    for at, data in _together(events):
        stream.feed(_replaced(data, instead or {}))
        frame = _frame(screen)
        if not seen or seen[-1][1] != frame:
            seen.append((at, frame))
    times = [at for at, _ in seen]
    lasting = [after - at for at, after in pairwise(times)]
    return [replace(frame, seconds=s) for (_, frame), s in zip(seen, [*lasting, 0.0], strict=True)]


def _replaced(data: bytes, instead: Mapping[str, str]) -> bytes:
    for text, other in instead.items():
        data = data.replace(text.encode(), other.encode())
    return data


def shortened(frames: Sequence[Frame], *, longest_s: float, most: int) -> list[Frame]:
    """Make waits short: what is seen between two finished lines takes at most `longest_s`, in at most `most` pictures.

    A line that is still at work is none, so that a progress display runs faster than it did, and is not cut.
    """
    short = []
    for _, group in groupby(frames, key=_finished):
        wait = list(group)
        total = sum(frame.seconds for frame in wait)
        if total > longest_s:
            kept = _evenly(wait, most)
            wait = [replace(frame, seconds=longest_s / len(kept)) for frame in kept]
        short += wait
    return short


def _finished(frame: Frame) -> tuple[Line, ...]:
    lines = [() if any(SPINNER & set(run.text) for run in line) else line for line in frame.lines]
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)


def _evenly(frames: list[Frame], most: int) -> list[Frame]:
    if len(frames) <= most:
        return frames
    return [frames[round(n * (len(frames) - 1) / (most - 1))] for n in range(most)]


def _together(events: Iterable[Event]) -> Iterator[Event]:
    waiting: Event | None = None
    for event in events:
        if waiting is not None and event.at_s - waiting.at_s >= TOGETHER_S:
            yield waiting
            waiting = None
        waiting = event if waiting is None else Event(waiting.at_s, waiting.data + event.data)
    if waiting is not None:
        yield waiting


def _frame(screen: pyte.Screen) -> Frame:
    lines = tuple(
        _line([screen.buffer[row][column] for column in range(screen.columns)]) for row in range(screen.lines)
    )
    at = (screen.cursor.y, min(screen.cursor.x, screen.columns - 1))
    return Frame(lines, None if screen.cursor.hidden else at, 0.0)


def _line(cells: Sequence[Char]) -> Line:
    """Group cells by style; two blanks end a run, so that no reader of the picture has to keep blanks."""
    runs: list[Run] = []
    for column, cell in enumerate(cells):
        style, last = _style(cell), runs[-1] if runs else None
        blank = cell.data == " " and style.ground == "default" and not style.underlined
        if last is not None and last.column + last.width == column and last.style == style:
            if not (blank and last.text.endswith(" ")):
                runs[-1] = last._replace(width=last.width + 1, text=last.text + cell.data)
        elif not blank:
            runs.append(Run(column, 1, cell.data, style))
    return tuple(_without_trailing_blank(run) for run in runs)


def _without_trailing_blank(run: Run) -> Run:
    if run.style.ground != "default" or run.style.underlined:
        return run
    text = run.text.rstrip(" ")
    return run._replace(width=run.width - (len(run.text) - len(text)), text=text)


def _style(cell: Char) -> Style:
    ink, ground = (cell.bg, cell.fg) if cell.reverse else (cell.fg, cell.bg)
    if cell.reverse:
        ink, ground = ("black" if ink == "default" else ink), ("white" if ground == "default" else ground)
    return Style(ink, ground, cell.bold, cell.italics, cell.underscore)
