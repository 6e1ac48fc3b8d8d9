"""`lockstep run`: plan, materialise, gate, score, audit, publish and report, for one day or several."""

import os
from typing import Annotated, Any

import typer

from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, ModelVersion, SparkProfiles, SpecName, loaded_spec, spark_settings
from lockstep.errors import CheckFailed, LockstepError
from lockstep.report.lineage_events import lineage_events
from lockstep.run.folder import AUDIT, REPORT, RunFolder
from lockstep.run.logs import facts_of_folder, set_log_context
from lockstep.run.partition import days_between, parse_partition
from lockstep.specs.settings import Settings
from lockstep.steps import STEPS, load_step, steps_of

# What is left to do of a run that is live.
EXAMPLES = examples(
    "lockstep run flight_delay --date 2013-08-01",
    "lockstep run flight_delay --from 2013-08-01 --to 2013-08-07 --dry-run",
)
AFTER_AUDIT = ("publish", "shadow", "report")


def command(
    name: SpecName,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Partition to score.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First partition.")] = None,
    to: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last partition, included.")] = None,
    model_version: ModelVersion = None,
    dry_run: Annotated[bool, typer.Option(help="Resolve and check everything, write nothing.")] = False,
    profile: SparkProfiles = None,
    as_json: AsJson = False,
) -> None:
    """Score one day or several, publish what passes its checks, and report.

    Running the same command again resumes what is unfinished and changes nothing that is already live. With several
    days the first failure ends the command; days that are done stay done.
    """
    if (date is None) == (from_ is None or to is None) or (date is not None and (from_ or to)):
        raise typer.BadParameter("give either --date, or both --from and --to")
    first, last = (date, date) if date is not None else (from_, to)
    days = list(days_between(parse_partition(str(first)), parse_partition(str(last))))
    loaded, where = loaded_spec(name), spark_settings(profile)
    console = Console(machine=as_json)
    from lockstep.steps.plan import Pinned, plan_run

    for day in days:
        set_log_context(spec=name, partition=day.isoformat())
        console.title(f"{name} {day}")
        with console.step("plan") as done:
            outcome = plan_run(loaded, day, where, pinned=Pinned(model_version), dry_run=dry_run)
            done(_plan_text(outcome.plan.model.version, len(outcome.plan.sources), outcome.plan.run_key))
        if dry_run:
            console.result(_dry_run_facts(outcome.folder, outcome.plan.spec.publish.table, outcome.live_run_key))
        else:
            live = bool(outcome.claim and outcome.claim.already_live)
            set_log_context(**facts_of_folder(outcome.folder))
            with lineage_events(outcome.folder, os.environ):
                console.result(run_steps(outcome.folder, where, console, already_live=live))


def run_steps(folder: RunFolder, where: Settings, console: Console, *, already_live: bool) -> dict[str, Any]:
    """Run the steps after `plan`; a failed check still gets its report.

    Args:
        folder: A planned run.
        where: Settings.
        console: Told of every step.
        already_live: Whether this very run is what the warehouse shows; then nothing is computed again.

    Returns:
        The figures of each step, by step.
    """
    steps: dict[str, Any] = {}
    try:
        finished = already_live and folder.has(AUDIT)
        wanted = steps_of(folder.plan(step="run"))
        for step in [step for step in wanted if step in AFTER_AUDIT] if finished else wanted:
            run = _run_trial if STEPS[step].on_trial else _run_step
            steps[step] = run(step, folder, where, console)
    except CheckFailed:
        _run_step("report", folder, where, console)
        raise
    return {"run_folder": str(folder.path), "report": str(folder.file(REPORT)), "steps": steps}


def _run_trial(step: str, folder: RunFolder, where: Settings, console: Console) -> dict[str, Any]:
    """Run a step that is for challengers only; what goes wrong there is told, and the run goes on."""
    try:
        return _run_step(step, folder, where, console)
    except LockstepError as error:
        console.note(f"  {error}")
        return {"error": type(error).__name__, "message": str(error)}


def _run_step(step: str, folder: RunFolder, where: Settings, console: Console) -> dict[str, Any]:
    with console.step(step) as done:
        if step == "score":
            from lockstep.steps.materialize import score

            facts = score(folder, where, progress=lambda now: console.progress(now.rows, now.total, now.line()))
        else:
            facts = load_step(step)(folder, where)
        done(", ".join(_figure(key, value) for key, value in facts.items() if _is_figure(value)))
    return facts


def _is_figure(value: object) -> bool:
    return isinstance(value, str | int | float) and value is not False


def _figure(key: str, value: object) -> str:
    """Say one fact: a flag by its name, a count with thousands marked."""
    words = key.replace("_", " ")
    if value is True:
        return words
    return f"{words} {value:,}" if isinstance(value, int) else f"{words} {value}"


def _plan_text(version: int, files: int, key: str) -> str:
    return f"model version {version}, {files} source files, run key {key}"


def _dry_run_facts(folder: RunFolder, table: str, live: str | None) -> dict[str, Any]:
    return {
        "dry_run": True,
        "run_folder": str(folder.path),
        "table": table,
        "live_run_key": live,
        "would": "change nothing: this run is already live" if live == folder.path.name else "score and publish",
    }
