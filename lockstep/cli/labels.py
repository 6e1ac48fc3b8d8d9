"""`lockstep labels`: compare published scores with what happened, and say whether the model is still good enough."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SpecName, loaded_spec, settings
from lockstep.cli.tables import print_table
from lockstep.run.partition import days_between, parse_partition
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec

if TYPE_CHECKING:
    from lockstep.publish.contract import Warehouse
    from lockstep.quality.performance_table import PerformanceRow

FIGURES = {
    "binary": ("auc", "log_loss", "brier", "bias", "calibration_error"),
    "regression": ("mae", "rmse", "bias"),
}
First = Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day.")]
Last = Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, included.")]

app = typer.Typer(help="Compare published scores with what happened.", no_args_is_help=True)


@app.command(
    epilog=examples(
        "lockstep labels measure flight_delay",
        "lockstep labels measure flight_delay --date 2013-08-01 --dry-run",
    )
)
def measure(
    name: SpecName,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="One day.")] = None,
    from_: First = None,
    to: Last = None,
    dry_run: Annotated[bool, typer.Option(help="Measure, publish nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the days whose labels have come, and publish the figures; without days, the spec's window.

    Repeating it changes nothing until rows or labels do.
    """
    from lockstep.quality.performance_table import read_performance
    from lockstep.steps.label_days import MeasuredDay, measure_days, summary
    from lockstep.steps.labels import labels_of, latest_day, measuring

    loaded, where, console = loaded_spec(name), settings(), Console(machine=as_json)
    labels, spec = labels_of(loaded), loaded.spec
    latest = latest_day(loaded, dt.datetime.now(dt.UTC))
    first, last = _days(date, from_, to) or (latest - dt.timedelta(days=labels.window_days - 1), latest)
    warehouse = _warehouse(spec, where)
    done: list[MeasuredDay] = []
    computed: list[PerformanceRow] = []
    run = measuring(loaded, where, warehouse)
    for one in measure_days(run, list(days_between(first, last)), latest=latest, dry_run=dry_run):
        console.note(f"{one.day}: {one.state}{f', {one.note}' if one.note else ''}")
        done.append(one)
        computed += one.rows
    kept = [] if dry_run else read_performance(warehouse, spec.publish.table, since=first, until=last)
    facts = summary(done, computed if dry_run else kept)
    for day in facts["without_labels"]:
        console.note(f"{day}: no row has a label yet")
    if as_json:
        asked = {"spec": spec.name, "from": first.isoformat(), "to": last.isoformat(), "dry_run": dry_run}
        print(json.dumps({**asked, "arms": dict(run.arms), **facts}))
        return
    _print(spec, [row for row in (computed if dry_run else kept) if row.is_whole_day])


@app.command(
    epilog=examples(
        "lockstep labels show flight_delay --from 2013-08-01 --to 2013-08-07 --segment origin",
    )
)
def show(
    name: SpecName,
    from_: First = None,
    to: Last = None,
    segment: Annotated[str | None, typer.Option(metavar="COLUMN", help="By the values of a segment.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the performance by day; without days, of the spec's window before the latest measured one."""
    from lockstep.quality.performance_table import read_performance, table_name
    from lockstep.steps.labels import labels_of

    loaded, where = loaded_spec(name), settings()
    labels, spec = labels_of(loaded), loaded.spec
    warehouse = _warehouse(spec, where)
    chosen = _days(None, from_, to)
    if chosen is None:
        measured = [entry.partition for entry in warehouse.history(table_name(spec.publish.table))]
        last = max(measured, default=dt.datetime.now(dt.UTC).date())
        chosen = (last - dt.timedelta(days=labels.window_days - 1), last)
    rows = read_performance(warehouse, spec.publish.table, since=chosen[0], until=chosen[1])
    shown = [row for row in rows if row.segment_column == segment]
    if as_json:
        print(json.dumps([row.model_dump(mode="json") for row in shown]))
        return
    _print(spec, shown)


@app.command(
    epilog=examples(
        "lockstep labels judge flight_delay",
        "lockstep labels judge flight_delay --signal nightly --json",
    )
)
def judge(
    name: SpecName,
    signal: Annotated[
        str | None, typer.Option(metavar="WHO", help="Remember that WHO asks for a new model, once for each breach.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the latest labelled days with the spec's `labels.retrain`, and say whether a new model is asked for."""
    from lockstep.steps.labels import labels_of
    from lockstep.steps.retraining import ask, judge_model

    loaded, where, console = loaded_spec(name), settings(), Console(machine=as_json)
    labels_of(loaded)  # or say that there are none
    spec = loaded.spec
    warehouse = _warehouse(spec, where)
    if signal is None:
        verdict = judge_model(spec, warehouse, where)
    else:
        verdict = ask(spec, warehouse, where, signal=signal, now=dt.datetime.now(dt.UTC))
    if verdict is None:
        console.note(f"{spec.name}: the spec has no labels.retrain, so nothing is judged")
    else:
        found = verdict.judgement
        of = f"version {found.model_version}, {found.days} labelled days up to {found.last_day}"
        if found.model_version is None:
            console.note(f"{spec.name}: no day has labels yet")
        elif not found.judged:
            console.note(f"{spec.name}: {of}: too few to judge")
        elif not found.breaches:
            console.note(f"{spec.name}: {of}: within its limits")
        for breach in found.breaches:
            console.note(f"{spec.name}: {of}: exceeds {breach}")
        if found.breaches and not verdict.new and verdict.asked is not None:
            console.note(f"a new model was asked for on {verdict.asked.asked_at:%Y-%m-%d %H:%M} UTC already")
    if as_json:
        print(json.dumps({"spec": spec.name, **(verdict.model_dump(mode="json") if verdict else {"new": False})}))


def _warehouse(spec: ScoringSpec, where: Settings) -> "Warehouse":
    from lockstep.publish.warehouse import open_warehouse

    kind = spec.publish.warehouse
    return open_warehouse(kind, where.warehouse(kind), wait_s=where.warehouse_wait_s)


def _days(date: str | None, from_: str | None, to: str | None) -> tuple[dt.date, dt.date] | None:
    if date is not None and (from_ or to):
        raise typer.BadParameter("give either --date, or --from and --to")
    if (from_ is None) != (to is None):
        raise typer.BadParameter("--from and --to go together")
    first, last = (date, date) if date is not None else (from_, to)
    return None if first is None else (parse_partition(first), parse_partition(str(last)))


def _print(spec: ScoringSpec, rows: "Sequence[PerformanceRow]") -> None:
    figures = FIGURES[spec.labels.kind if spec.labels else "binary"]
    by = any(row.segment_column for row in rows)
    columns = ["day", "arm", "version", *(["segment"] if by else []), "rows", "labelled", *figures, "notes"]
    cells = []
    for row in rows:
        segment = [row.segment_value] if by else []
        known = (row.row_count, row.labelled_count, *(getattr(row, figure) for figure in figures), row.reason)
        cells.append((row.partition_date, row.arm, row.model_version, *segment, *known))
    print_table(f"performance of {spec.publish.table}", columns, cells)
