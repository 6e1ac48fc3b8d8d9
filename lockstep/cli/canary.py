"""`lockstep canary`: how a challenger's canary stands, and how a person ends or resumes it."""

import datetime as dt
import json
from typing import Annotated, Literal

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SpecName, loaded_spec, settings
from lockstep.run.partition import parse_partition

app = typer.Typer(help="A challenger that answers for some of the rows.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why; it is kept.")]


@app.command(
    epilog=examples(
        "lockstep canary status flight_delay",
        "lockstep canary status flight_delay --date 2013-08-07 --json",
    )
)
def status(
    name: SpecName,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Day of the ramp; none: today.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which share of the rows is asked for, of which version, and what has happened to it."""
    from lockstep.upkeep.canary import canary_status

    day = parse_partition(date) if date else dt.datetime.now(dt.UTC).date()
    found = canary_status(loaded_spec(name), settings(), day=day)
    if as_json:
        print(json.dumps(found.facts()))
        return
    who = f"@{found.alias} (version {found.version}, digest {found.digest[:12]})"
    told = {
        "active": f"answers for {100 * found.asked:g} % of the rows of {found.day}",
        "waiting": f"answers for no rows of {found.day}, by the ramp",
        "aborted": f"is aborted: the champion (version {found.champion}) answers for all rows",
        "promoted": "is the champion: its trial is over",
    }
    print(f"{who} {told[found.state]}; rows stay in their arm by {', '.join(found.by)}")
    for event in found.events:
        print(f"  {event.text}")


@app.command(
    epilog=examples(
        'lockstep canary abort flight_delay --reason "scores of JFK are off"',
    )
)
def abort(name: SpecName, reason: Reason, as_json: AsJson = False) -> None:
    """End the canary of the challenger of today. Rows that are live stay; later runs have none of it."""
    _decide(name, "aborted", reason, as_json=as_json)


@app.command(
    epilog=examples(
        'lockstep canary resume flight_delay --reason "the feed was repaired"',
    )
)
def resume(name: SpecName, reason: Reason, as_json: AsJson = False) -> None:
    """Let an aborted challenger answer again, from the next run on."""
    _decide(name, "resumed", reason, as_json=as_json)


def _decide(name: str, kind: Literal["aborted", "resumed"], reason: str, *, as_json: bool) -> None:
    from lockstep.upkeep.canary import decide

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    event, new = decide(loaded_spec(name), settings(), kind, reason=reason.strip(), now=dt.datetime.now(dt.UTC))
    if as_json:
        print(json.dumps({"changed": new, **event.model_dump(mode="json")}))
    elif new:
        print(event.text)
    else:
        print(f"nothing changed: version {event.version} {'is aborted already' if kind == 'aborted' else 'is allowed'}")
