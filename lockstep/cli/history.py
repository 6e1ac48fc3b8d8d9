"""`lockstep history` and `lockstep diff`: what was published, and what changed between two runs."""

import json
from typing import Annotated

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, WarehouseKind, settings
from lockstep.cli.tables import print_table
from lockstep.publish.contract import Publication
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.partition import parse_partition

HISTORY_EXAMPLES = examples(
    "lockstep history flight_delay_scores",
    "lockstep history flight_delay_scores --date 2013-08-01 --json",
)
DIFF_EXAMPLES = examples(
    "lockstep diff 4f2a9c81 77b1e0d2 --by origin",
)
SHOWN = 40
LONGEST = 60


def history(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A published table.")],
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Only this partition.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most entries.")] = SHOWN,
    warehouse: WarehouseKind = "duckdb",
    as_json: AsJson = False,
) -> None:
    """Tell the story of a table from its ledger: every publication, rollback and refusal, the newest first."""
    where = settings()
    opened = open_warehouse(warehouse, where.warehouse(warehouse), wait_s=where.warehouse_wait_s)
    day = None if date is None else parse_partition(date)
    found = [entry for entry in opened.history(table) if day in {None, entry.partition}]
    if not found:
        known = ", ".join(sorted({entry.table for entry in opened.history()})) or "nothing"
        raise typer.BadParameter(f"the ledger has no entry of {table!r} {date or ''}; it has entries of: {known}")
    shown = found[::-1][:limit]
    if as_json:
        print(json.dumps([entry.model_dump(mode="json") for entry in shown]))
        return
    columns = ["recorded", "partition", "outcome", "model", "rows", "replaced", "run", "token", "by", "notes"]
    print_table(f"history of {table}", columns, [_row(entry) for entry in shown], more=len(found) > limit)


def _row(entry: Publication) -> tuple[object, ...]:
    notes = entry.reason or "; ".join(entry.changes) or entry.checks
    short = notes if len(notes) <= LONGEST else notes[: LONGEST - 1] + "…"
    model = f"{entry.model_name} v{entry.model_version}"
    facts = (entry.rows, entry.replaced_rows, entry.run_key, entry.token, entry.actor, short.replace("\n", " "))
    return (entry.recorded_at, entry.partition, entry.outcome, model, *facts)


def diff(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="Key (or its beginning) or folder of a run.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Another run, of the same key columns.")],
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help="Split by a published column.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two runs row by row: rows of one only, rows whose score changed, and how far, also by segment."""
    from lockstep.upkeep.diff import QUANTILES, compare, find_run

    root = settings().runs_root
    shifts = compare(find_run(root, run_a), find_run(root, run_b), by=by)
    if as_json:
        print(json.dumps([vars(shift) for shift in shifts]))
        return
    far = ["largest" if q == 1 else f"{100 * q:.0f} % within" for q in QUANTILES]
    columns = [by or "rows", "only A", "only B", "both", "changed", "mean A", "mean B", *far]
    rows = [
        (s.segment or "all", s.only_a, s.only_b, s.both, s.changed, s.mean_a, s.mean_b, *s.quantiles) for s in shifts
    ]
    print_table(f"{run_a} against {run_b}", columns, rows)
