"""`lockstep step`: one step of a run, working from the run folder alone; what Airflow's tasks call."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import (
    AsJson,
    ModelVersion,
    SparkProfiles,
    SpecName,
    loaded_spec,
    settings,
    spark_settings,
)
from lockstep.run.folder import AUDIT, RunFolder
from lockstep.run.logs import facts_of_folder, set_log_context
from lockstep.run.partition import parse_partition
from lockstep.steps import STEPS, load_step

EXAMPLE = "--run-folder var/runs/flight_delay/2013-08-01/4f2a9c81d0e35b76"
CHECKING = ("gate", "audit")
SPARK = ("materialize", "score")
CANARY = "canary"

log = logging.getLogger("lockstep.step")

app = typer.Typer(help="One step of a run, from its run folder alone.", no_args_is_help=True)


def folder_of(text: str) -> RunFolder:
    """Return the run folder that a path or URL names."""
    try:
        return RunFolder.at(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected {error}") from error


Folder = Annotated[
    RunFolder,
    typer.Option("--run-folder", parser=folder_of, metavar="FOLDER", help="Folder that `lockstep step plan` printed."),
]
Strict = Annotated[bool, typer.Option("--strict/--no-strict", help="Let warnings stop the run too.")]
Digest = Annotated[str | None, typer.Option("--model-digest", help="Only if the version's artifact still has it.")]
Date = Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="Partition to score.")]


Challengers = Annotated[
    str | None,
    typer.Option("--challengers", metavar="JSON", help="Versions of challengers, as `model resolve` printed them."),
]


@app.command(
    epilog=examples(
        "lockstep step plan flight_delay --date 2013-08-01",
        "lockstep step plan flight_delay --date 2013-08-01 --model-version 17 --json",
    )
)
def plan(
    name: SpecName,
    date: Date,
    model_version: ModelVersion = None,
    model_digest: Digest = None,
    challengers: Challengers = None,
    as_json: AsJson = False,
) -> None:
    """Freeze a run and claim the right to publish it; prints its run folder."""
    from lockstep.steps.plan import Pinned, plan_run

    set_log_context(step="plan", spec=name, partition=date)
    pinned = Pinned(model_version, model_digest, _versions(challengers))
    outcome = plan_run(loaded_spec(name), parse_partition(date), settings(), pinned=pinned)
    facts = {
        "run_folder": str(outcome.folder.path),
        "run_key": outcome.plan.run_key,
        "partition": date,
        "model_version": outcome.plan.model.version,
        "token": outcome.claim.token if outcome.claim else None,
        "already_live": bool(outcome.claim and outcome.claim.already_live and outcome.folder.has(AUDIT)),
    }
    _print("plan", facts, as_json=as_json)


@contextlib.contextmanager
def _logged(step: str, folder: RunFolder) -> Iterator[None]:
    """Log that a step begins and is done; an error is logged where it ends the command, with what it is about."""
    set_log_context(step=step, **facts_of_folder(folder))
    began = time.monotonic()
    log.info("%s begins", step)
    yield
    log.info("%s is done", step, extra={"facts": {"seconds": round(time.monotonic() - began, 3)}})


def _versions(text: str | None) -> dict[str, int | None]:
    try:
        found = json.loads(text or "{}")
        return {str(alias): None if version is None else int(version) for alias, version in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise typer.BadParameter("--challengers wants a JSON object of aliases and versions") from error


def _register(step: str) -> None:
    def command(folder: Folder, as_json: AsJson = False) -> None:
        with _logged(step, folder):
            facts = load_step(step)(folder, settings())
        _print(step, facts, as_json=as_json)

    _add(step, command)


def _register_spark(step: str) -> None:
    def command(folder: Folder, profile: SparkProfiles = None, as_json: AsJson = False) -> None:
        with _logged(step, folder):
            facts = load_step(step)(folder, spark_settings(profile))
        _print(step, facts, as_json=as_json)

    _add(step, command)


def _register_checks(step: str) -> None:
    def command(folder: Folder, strict: Strict = False, profile: SparkProfiles = None, as_json: AsJson = False) -> None:
        where = spark_settings(profile)
        with _logged(step, folder):
            facts = load_step(step)(folder, where)
            if strict:
                from lockstep.steps.checking import stop_on_warnings

                stop_on_warnings(step, folder, where)
        _print(step, facts, as_json=as_json)

    _add(step, command)


def _register_canary(step: str) -> None:
    def command(
        folder: Folder,
        dry_run: Annotated[bool, typer.Option(help="Abort nothing for good.")] = False,
        as_json: AsJson = False,
    ) -> None:
        from lockstep.steps.canary import canary

        with _logged(step, folder):
            facts = canary(folder, settings(), dry_run=dry_run)
        _print(step, facts, as_json=as_json)

    _add(step, command)


def _add(step: str, command: Callable[..., None]) -> None:
    command.__doc__ = STEPS[step].help
    app.command(name=step, epilog=examples(f"lockstep step {step} {EXAMPLE}"))(command)


def _print(step: str, facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
    else:
        print(f"{step}: " + ", ".join(f"{key} {value}" for key, value in facts.items()))


REGISTER = {
    **dict.fromkeys(CHECKING, _register_checks),
    **dict.fromkeys(SPARK, _register_spark),
    CANARY: _register_canary,
}
for _step in STEPS:
    REGISTER.get(_step, _register)(_step)
