"""`lockstep rollback` and `lockstep vacuum`: make earlier rows live again, and forget what nobody needs."""

import datetime as dt
import json
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SpecName, loaded_spec, settings
from lockstep.errors import DateInvalid, NothingToRestore
from lockstep.publish.contract import Publication
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.partition import days_between, parse_partition
from lockstep.specs.spec import ScoringSpec

if TYPE_CHECKING:
    from lockstep.upkeep.rollback import RollbackPlan


ROLLBACK_EXAMPLES = examples(
    "lockstep rollback flight_delay --date 2013-08-01 --dry-run",
    'lockstep rollback flight_delay --model-version 17 --with-alias --reason "17 was trained on half a year"',
)
VACUUM_EXAMPLES = examples(
    "lockstep vacuum flight_delay --dry-run",
)


def rollback(
    name: SpecName,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="One partition.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First partition.")] = None,
    to: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last partition, included.")] = None,
    model_version: Annotated[
        int | None, typer.Option(min=1, help="Only partitions whose live rows this version made.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="Restore what was live then (ISO 8601, UTC without a zone).")
    ] = None,
    with_alias: Annotated[
        bool, typer.Option(help="Point the spec's alias at the restored version, so that new runs use it too.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "",
    dry_run: Annotated[bool, typer.Option(help="Say what would be restored, change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the rows live again that were published before: of a day, a range, or all that a model version made.

    Either all of it can be done, or nothing is begun. Each partition changes in a transaction of its own; an
    interrupted rollback is finished by the same command. An online store follows.
    """
    from lockstep.steps.online import online_after
    from lockstep.upkeep.rollback import Wanted, plan_rollback, roll_back

    spec, where = loaded_spec(name).spec, settings()
    wanted = Wanted(days=_days(date, from_, to), model_version=model_version, as_of=_moment(as_of))
    if wanted == Wanted():
        raise typer.BadParameter("say what to roll back: --date, --from and --to, --model-version or --as-of")
    kind = spec.publish.warehouse
    warehouse = open_warehouse(kind, where.warehouse(kind), wait_s=where.warehouse_wait_s)
    plan = plan_rollback(warehouse, spec.publish.table, wanted=wanted)
    version = _one_version(plan, spec, where.tracking_uri) if with_alias else None
    console = Console(machine=as_json)
    for entry in plan.done:
        console.note(f"{entry.partition}: nothing to do, an earlier run is live already")
    made = []
    if dry_run:
        for move in plan.moves:
            console.note(f"{move.partition}: would restore {_run(move.target)} in place of {_run(move.live)}")
        if version is not None:
            console.note(f"would point alias {spec.model.alias} of {spec.model.name} at version {version}")
    else:
        with online_after(warehouse, spec, where):
            for entry in roll_back(warehouse, plan, where, reason=reason, now=dt.datetime.now(dt.UTC)):
                made.append(entry)
                console.note(f"{entry.partition}: {entry.outcome}, {entry.rows:,} rows of {_run(entry)} are live")
        if version is not None:
            _move_alias(spec, where.tracking_uri, version, console)
    if as_json:
        print(
            json.dumps(
                {"restored": [e.model_dump(mode="json") for e in made], "done": [str(e.partition) for e in plan.done]}
            )
        )


def vacuum(
    name: SpecName,
    dry_run: Annotated[bool, typer.Option(help="Say what would be deleted, delete nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete run folders and old publications that the spec's `retention` does not keep; live ones always stay."""
    from lockstep.upkeep.retention import vacuum as drop

    spec, where = loaded_spec(name).spec, settings()
    kind = spec.publish.warehouse
    warehouse = open_warehouse(kind, where.warehouse(kind), wait_s=where.warehouse_wait_s)
    found = drop(warehouse, spec, where.runs_root, now=dt.datetime.now(dt.UTC), dry_run=dry_run)
    if as_json:
        facts = {"runs": [str(path) for path in found.runs], "size_bytes": found.size_bytes, "kept": found.kept}
        print(json.dumps({**facts, "warehouse": list(found.warehouse), "dry_run": dry_run}))
        return
    console = Console(machine=False)
    for text in (*(f"run folder {path}" for path in found.runs), *found.warehouse):
        console.note(text)
    done = "would be deleted" if dry_run else "deleted"
    console.note(
        f"{len(found.runs)} run folders ({found.size_bytes / 2**20:,.1f} MiB) and {len(found.warehouse)} things in the "
        f"warehouse {done}; {found.kept} run folders stay"
    )


def _one_version(plan: "RollbackPlan", spec: ScoringSpec, tracking_uri: str) -> int:
    """Return the version that the alias shall name: the one that all rows will be of, still as it was then."""
    from lockstep.registry.resolve import resolve_model

    if len(plan.versions) > 1:
        found = ", ".join(str(version) for version in plan.versions)
        problem = f"--with-alias needs one version, and these partitions were made by versions {found}"
        raise NothingToRestore(plan.table, problems=[problem])
    model = resolve_model(tracking_uri, spec.model.name, version=plan.versions[0])
    made_by = {entry.model_digest for entry in (*plan.done, *(move.target for move in plan.moves))}
    if made_by != {model.digest}:
        problem = f"version {model.version} in the registry is no longer the artifact that made these rows"
        raise NothingToRestore(plan.table, problems=[problem])
    return model.version


def _move_alias(spec: ScoringSpec, tracking_uri: str, version: int, console: Console) -> None:
    from lockstep.registry.resolve import move_alias

    before = move_alias(tracking_uri, spec.model.name, alias=spec.model.alias, version=version)
    console.note(f"alias {spec.model.alias} of {spec.model.name}: version {version} (it was {before})")


def _days(date: str | None, from_: str | None, to: str | None) -> list[dt.date] | None:
    if date is not None and (from_ or to):
        raise typer.BadParameter("give either --date, or --from and --to")
    if (from_ is None) != (to is None):
        raise typer.BadParameter("--from and --to go together")
    first, last = (date, date) if date is not None else (from_, to)
    return None if first is None else list(days_between(parse_partition(first), parse_partition(str(last))))


def _run(entry: Publication) -> str:
    return f"run {entry.run_key} (version {entry.model_version})"


def _moment(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise DateInvalid(text, problem="is no time", advice="write it as 2026-11-20T06:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
