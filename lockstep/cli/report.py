"""`lockstep report`: look at the tables of the warehouse, and recompute reporting tables."""

import csv
import datetime as dt
import json
import math
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lockstep.cli.options import AsJson, SpecName, WarehouseKind, loaded_spec, settings
from lockstep.errors import PublishError
from lockstep.publish.contract import Warehouse
from lockstep.publish.reporting import reporting_tables
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.partition import parse_partition
from lockstep.specs.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

SHOWN_ROWS = 40
DIGEST = re.compile("[0-9a-f]{64}")

app = typer.Typer(help="Look at the tables of the warehouse.", no_args_is_help=True)


@app.command()
def table(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A table or view, such as daily_risk or model_lineage.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"Most rows; without it {SHOWN_ROWS} on the screen, all as CSV or JSON.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    kind: WarehouseKind = "duckdb",
    as_json: AsJson = False,
) -> None:
    """Print a table of the warehouse, ordered by its columns from the left."""
    if as_csv and as_json:
        raise typer.BadParameter("give --csv or --json, not both")
    warehouse = _warehouse(settings(), kind)
    if name not in warehouse.tables():
        known = ", ".join(warehouse.tables())
        raise typer.BadParameter(f"no table {name!r} in {warehouse.location}; it has: {known}")
    shown = limit if limit or as_csv or as_json else SHOWN_ROWS
    columns, rows = warehouse.read_table(name, limit=None if shown is None else shown + 1)
    more = shown is not None and len(rows) > shown
    rows = rows[:shown]
    if as_json:
        print(json.dumps([dict(zip(columns, map(_plain, row), strict=True)) for row in rows]))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([columns, *([_plain(value) for value in row] for row in rows)])
    else:
        _print_rich(name, columns, rows, more=more)


@app.command()
def refresh(
    name: SpecName,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Only this partition.")] = None,
) -> None:
    """Recompute the reporting tables of a spec, as when outcomes arrived after the scores were published."""
    loaded, where = loaded_spec(name), settings()
    days = None if date is None else [parse_partition(date)]
    queries = {table: loaded.file(file) for table, file in loaded.spec.reporting.items()}
    warehouse = _warehouse(where, loaded.spec.publish.warehouse)
    for target in reporting_tables(loaded.spec, queries, data_root=where.data_root):
        print(f"{target.name}: {warehouse.refresh_reporting(target, days):,} rows recomputed")


def _warehouse(where: Settings, kind: str) -> Warehouse:
    warehouse = open_warehouse(kind, where.warehouse(kind), wait_s=where.warehouse_wait_s)
    if not warehouse.tables():
        raise PublishError(
            f"there is no warehouse at {warehouse.location} yet: nothing was published. "
            "Run `lockstep run SPEC --date D`."
        )
    return warehouse


def _plain(value: Any) -> Any:
    """Turn a value of the engine into one that JSON has."""
    if isinstance(value, dt.date | dt.datetime | dt.time):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def _print_rich(name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], *, more: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [_width(column, [row[index] for row in cells]) for index, column in enumerate(columns)]
    needed = sum(widths) + 3 * len(widths) + 1
    console.print(name, style="bold")
    if needed > console.width and console.is_terminal:
        for row in cells:
            console.print(*(f"  {column}: {value}" for column, value in zip(columns, row, strict=True)), "", sep="\n")
    else:
        numeric = [all(isinstance(value, int | float | None) for value in column) for column in zip(*rows, strict=True)]
        Console(width=max(needed, console.width)).print(
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
