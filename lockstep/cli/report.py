"""`lockstep report`: look at the tables of the warehouse, and recompute reporting tables."""

import csv
import datetime as dt
import json
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SpecName, WarehouseKind, loaded_spec, settings
from lockstep.cli.tables import plain, print_table
from lockstep.errors import PublishError
from lockstep.publish.contract import Warehouse
from lockstep.publish.reporting import reporting_tables
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.interval import finished_days
from lockstep.run.partition import days_between, parse_partition
from lockstep.specs.settings import Settings

SHOWN_ROWS = 40

app = typer.Typer(help="Look at the tables of the warehouse.", no_args_is_help=True)


@app.command(
    epilog=examples(
        "lockstep report table flight_delay_scores --limit 20",
        "lockstep report table model_lineage --csv > lineage.csv",
    )
)
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
        print(json.dumps([dict(zip(columns, map(plain, row), strict=True)) for row in rows]))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([columns, *([plain(value) for value in row] for row in rows)])
    else:
        print_table(name, columns, rows, more=more)


@app.command(
    epilog=examples(
        "lockstep report refresh flight_delay --trailing 7",
        "lockstep report refresh flight_delay --from 2013-08-01 --to 2013-08-07",
    )
)
def refresh(
    name: SpecName,
    date: Annotated[list[str] | None, typer.Option(metavar="YYYY-MM-DD", help="This partition; repeatable.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First partition.")] = None,
    to: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last partition, included.")] = None,
    trailing: Annotated[int | None, typer.Option(min=1, help="So many finished days, the latest included.")] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the reporting tables of a spec, as when outcomes arrived after the scores were published.

    Without any option all live partitions are recomputed. Days that have no live rows are left out.
    """
    if sum((bool(date), from_ is not None or to is not None, trailing is not None)) > 1:
        raise typer.BadParameter("give one of --date, --from with --to, and --trailing")
    if (from_ is None) != (to is None):
        raise typer.BadParameter("--from and --to go together")
    loaded, where = loaded_spec(name), settings()
    wanted = [parse_partition(day) for day in date] if date else None
    if from_ is not None and to is not None:
        wanted = list(days_between(parse_partition(from_), parse_partition(to)))
    if trailing is not None:
        wanted = finished_days(loaded.spec.schedule, trailing, now=dt.datetime.now(dt.UTC))
    queries = {table: loaded.file(file) for table, file in loaded.spec.reporting.items()}
    warehouse = _warehouse(where, loaded.spec.publish.warehouse)
    days = None if wanted is None else _live(warehouse, loaded.spec.publish.table, wanted)
    rows = {}
    for target in reporting_tables(loaded.spec, queries, data_root=where.data_root):
        rows[target.name] = warehouse.refresh_reporting(target, days)
        if not as_json:
            print(f"{target.name}: {rows[target.name]:,} rows recomputed")
    if as_json:
        told = None if days is None else [str(day) for day in days]
        without = [str(day) for day in sorted({*(wanted or ())} - {*(days or ())})]
        print(json.dumps({"spec": name, "days": told, "not_live": without, "rows": rows}))


def _live(warehouse: Warehouse, table: str, days: Iterable[dt.date]) -> list[dt.date]:
    return [day for day in sorted({*days}) if warehouse.live(table, day) is not None]


def _warehouse(where: Settings, kind: str) -> Warehouse:
    warehouse = open_warehouse(kind, where.warehouse(kind), wait_s=where.warehouse_wait_s)
    if not warehouse.tables():
        raise PublishError(
            f"there is no warehouse at {warehouse.location} yet: nothing was published. "
            "Run `lockstep run SPEC --date D`."
        )
    return warehouse
