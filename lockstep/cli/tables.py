"""Rows on a terminal, and values as machines take them."""

import datetime as dt
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

DIGEST = re.compile("[0-9a-f]{64}")


def plain(value: Any) -> Any:
    """Turn a value of the engine into one that JSON has."""
    if isinstance(value, dt.date | dt.datetime | dt.time):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def print_table(name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], *, more: bool = False) -> None:
    """Print rows; on a narrow terminal one value a line.

    Args:
        name: Heading.
        columns: Names of the columns.
        rows: Values.
        more: Whether there are more rows than these.
    """
    from lockstep.cli.terminal import rich_console

    console = rich_console()
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [_width(column, [row[index] for row in cells]) for index, column in enumerate(columns)]
    needed = sum(widths) + 3 * len(widths) + 1
    console.print(name, style="bold")
    if needed > console.width and console.is_terminal:
        for row in cells:
            console.print(*(f"  {column}: {value}" for column, value in zip(columns, row, strict=True)), "", sep="\n")
    else:
        numeric = [all(isinstance(value, int | float | None) for value in column) for column in zip(*rows, strict=True)]
        rich_console(width=max(needed, console.width)).print(
            _grid(columns, cells, widths=widths, numeric=numeric or [False] * len(columns))
        )
    if not rows:
        console.print("no rows")
    if more:
        console.print(f"the first {len(rows)} rows; --limit N shows more, --csv or --json all")


def _grid(
    columns: Sequence[str], cells: Sequence[Sequence[str]], *, widths: Sequence[int], numeric: Sequence[bool]
) -> "Table":
    from rich.table import Table
    from rich.text import Text

    grid = Table(header_style="bold")
    for column, width, is_number in zip(columns, widths, numeric, strict=True):
        grid.add_column(column.replace("_", " "), justify="right" if is_number else "left", width=width)
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _width(column: str, cells: Sequence[str]) -> int:
    """Return the width at which no cell wraps and a heading wraps between its words only."""
    return max(len(text) for text in [*column.split("_"), *cells])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, str) and DIGEST.fullmatch(value):
        return f"{value[:12]}…"
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, dt.datetime) else str(value)
