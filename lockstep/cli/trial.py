"""`lockstep trial`: how the challengers of a spec did."""

import json
from typing import Annotated

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SpecName, loaded_spec, settings
from lockstep.cli.tables import print_table
from lockstep.run.comparison import Comparison
from lockstep.run.folder import CHALLENGERS, COMPARISON, RunFolder
from lockstep.run.partition import parse_partition
from lockstep.storage.files import Location
from lockstep.storage.files import found as found_below

SHOWN = 20

app = typer.Typer(help="How the challengers of a spec did.", no_args_is_help=True)


@app.command(
    epilog=examples(
        "lockstep trial show flight_delay",
        "lockstep trial show flight_delay --date 2013-08-01 --json",
    )
)
def show(
    name: SpecName,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="A day; none: the latest.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most segments of each challenger.")] = SHOWN,
    as_json: AsJson = False,
) -> None:
    """Compare the challengers of a day with its champion: the run that was compared last, and its largest shifts."""
    root = settings().runs_root / loaded_spec(name).spec.name
    day = "*" if date is None else parse_partition(date).isoformat()
    folder = latest_run(root, day)
    if folder is None:
        where = f"day {date}" if date else "any day"
        raise typer.BadParameter(f"no run of {name!r} of {where} has compared challengers")
    from lockstep.report.facts import read_comparisons

    found = read_comparisons(folder)
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    columns = ["challenger", "version", "compared", "agree", "mean_diff", "max_diff", "psi", "bad", "cost", "notes"]
    print_table(f"{name} {folder.path.parent.name}, run {folder.path.name}", columns, [_row(one) for one in found])
    for one in found:
        if one.segments and limit:
            _print_segments(one, limit)


def latest_run(root: Location, day: str) -> RunFolder | None:
    """Return the run whose challengers were compared last, of the latest day that has one.

    Args:
        root: Folder of the spec's runs.
        day: Partition, or `*` for any.
    """
    files = [
        (path.parts[-5], path.stat().st_mtime, number, path)
        for number, path in enumerate(found_below(root, f"{day}/*/{CHALLENGERS}/*/{COMPARISON}"))
    ]
    return RunFolder(max(files)[3].parents[2]) if files else None


def _row(one: Comparison) -> tuple[object, ...]:
    ratio = one.challenger_seconds / one.champion_seconds if one.champion_seconds and one.challenger_seconds else None
    facts = (one.compared, one.agreement, one.mean_difference, one.max_difference, one.psi, one.challenger_bad, ratio)
    return (one.alias, one.version or None, *facts, one.failure or f"against version {one.champion_version}")


def _print_segments(one: Comparison, limit: int) -> None:
    from lockstep.report.trial_view import largest_first

    rows = [
        (shift.column, shift.value, shift.rows, shift.champion_mean, shift.challenger_mean, shift.shift)
        for shift in largest_first(one.segments)[:limit]
    ]
    columns = ["column", "value", "rows", "champion", "challenger", "shift"]
    print_table(f"{one.alias}: largest shifts", columns, rows, more=len(one.segments) > limit)
