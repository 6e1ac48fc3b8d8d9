"""`lockstep online`: the store in which the endpoint looks published predictions up."""

import json
from typing import Any

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SpecName, loaded_spec, settings
from lockstep.errors import SpecError
from lockstep.publish.contract import Warehouse
from lockstep.publish.warehouse import open_warehouse
from lockstep.specs.loading import SPEC_FILE
from lockstep.specs.spec import ScoringSpec

app = typer.Typer(help="Published predictions that are looked up by key.", no_args_is_help=True)


@app.command(
    epilog=examples(
        "lockstep online status flight_delay",
    )
)
def status(name: SpecName, as_json: AsJson = False) -> None:
    """Compare the store with the ledger; changes nothing."""
    from lockstep.upkeep.online import OnlineDay, online_days

    def facts(day: OnlineDay) -> dict[str, Any]:
        live, loaded = day.live, day.loaded
        return {
            "partition": day.partition.isoformat(),
            "state": "loaded" if day.same else "behind" if live else "over",
            "live_run_key": live.run_key if live else None,
            "loaded_run_key": loaded.run_key if loaded else None,
            "rows": loaded.rows if loaded else 0,
            "loaded_at": loaded.loaded_at.isoformat() if loaded else None,
        }

    spec = _spec(name)
    days = [facts(day) for day in online_days(_warehouse(spec), spec, settings())]
    if as_json:
        print(json.dumps(days))
        return
    for day in days:
        has = f"{day['rows']:,} rows of run {day['loaded_run_key']}" if day["loaded_run_key"] else "no rows"
        print(f"{day['partition']}  {day['state']:<7} store: {has}; ledger: {day['live_run_key'] or 'not kept'}")
    if not days:
        print(f"nothing of {spec.publish.table} is live, and nothing is loaded")


@app.command(
    epilog=examples(
        "lockstep online sync flight_delay --json",
    )
)
def sync(name: SpecName, as_json: AsJson = False) -> None:
    """Load what the ledger says is live and the store has not; running it again changes nothing."""
    from lockstep.steps.online import load_online

    spec = _spec(name)
    done = load_online(_warehouse(spec), spec, settings(), first=None)
    outcomes = {day.isoformat(): outcome for day, outcome in done.days.items()}
    if as_json:
        print(json.dumps({"store": done.location, "days": outcomes, "rows": done.rows}))
        return
    for day, outcome in sorted(outcomes.items(), reverse=True):
        print(f"{day}  {outcome}")
    print(f"{done.rows:,} rows were loaded into {done.location}")


@app.command(
    epilog=examples(
        "lockstep online drop flight_delay",
    )
)
def drop(name: SpecName, as_json: AsJson = False) -> None:
    """Forget the spec's table in the store; the warehouse keeps its rows, and `sync` loads them again."""
    from lockstep.upkeep.online import drop_online

    spec = _spec(name)
    dropped = drop_online(spec, settings())
    if as_json:
        print(json.dumps({"table": spec.publish.table, "partitions": dropped}))
    else:
        print(f"{dropped} partitions of {spec.publish.table} were forgotten")


def _spec(name: str) -> ScoringSpec:
    loaded = loaded_spec(name)
    if loaded.spec.online is None:
        raise SpecError(str(loaded.folder / SPEC_FILE), ["there is no 'online' in it; see docs/online-features.md"])
    return loaded.spec


def _warehouse(spec: ScoringSpec) -> Warehouse:
    where, kind = settings(), spec.publish.warehouse
    return open_warehouse(kind, where.warehouse(kind), wait_s=where.warehouse_wait_s)
