"""`lockstep demo`: from nothing to a published, reported, served week, with the real scheduler."""

import datetime as dt
import os
import time
from enum import StrEnum
from typing import Annotated

import typer

from lockstep.cli.examples import examples
from lockstep.cli.installation import need_checkout
from lockstep.demo.backfill import Backfill, Days
from lockstep.demo.learning import SPEC, load_data, train_model
from lockstep.demo.story import Story, disk_bytes
from lockstep.errors import LockstepError
from lockstep.services.log import FileLog
from lockstep.services.ports import choose_ports
from lockstep.services.stack import Stack, start_stack, supervised
from lockstep.services.supervisor import StopRequested, Supervisor
from lockstep.specs.loading import find_spec
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec

INSTEAD = "With a model of your own, begin with `lockstep init` (docs/first-hour.md)."
EXAMPLES = examples(
    "lockstep demo",
    "lockstep demo --only train",
)
WEEK = Days(dt.date(2013, 8, 1), dt.date(2013, 8, 7))
ACTIVE_DAYS = 3


class Part(StrEnum):
    """A part of the demo."""

    DATA = "data"
    TRAIN = "train"
    TEXT = "text"
    DRIFT = "drift"


def command(
    only: Annotated[
        Part | None, typer.Option(help="Stop after data, or after data and training; or text, or drift.")
    ] = None,
) -> None:
    """Show everything once: data, training, an Airflow backfill of a week, tables, endpoint.

    `--only text` is apart from it: it writes texts and registers the text model. `--only drift` scores flights of 2023
    by the model of 2013 and shows what drifted.
    """
    settings = Settings.from_env(os.environ)
    need_checkout("lockstep demo", settings, instead=INSTEAD)
    story = Story()
    log = FileLog(settings.home / "services" / "demo.log")
    try:
        with supervised(settings, sink=log) as supervisor:
            _show_parts(only, supervisor, settings, story=story)
    except StopRequested as stop:
        story.say("stopped; the same command goes on where this one ended")
        raise typer.Exit(stop.exit_code) from None
    except LockstepError:
        story.say(f"the full log of all processes: {log.path}")
        raise
    story.say(
        f"Total: {time.monotonic() - story.began:.0f} s; "
        f"{disk_bytes(settings.home) / 2**20:,.0f} MiB in {settings.home}"
    )


def _show_parts(only: Part | None, supervisor: Supervisor, settings: Settings, *, story: Story) -> None:
    if only is Part.TEXT:
        from lockstep.demo.texts import load_texts, register_encoder

        load_texts(settings, story)
        register_encoder(supervisor, settings, story)
        return
    load_data(supervisor, settings, story)
    if only is not Part.DATA:
        train_model(supervisor, settings, story)
    if only is None:
        _score_a_week(supervisor, settings, story)
    if only is Part.DRIFT:
        from lockstep.demo.drift import add_2023, score_days, show_drift

        add_2023(settings, story)
        score_days(supervisor, settings, story)
        show_drift(settings, story)


def _score_a_week(supervisor: Supervisor, settings: Settings, story: Story) -> None:
    spec = find_spec(settings.models_root, SPEC).spec
    with story.step("Services: PostgreSQL, Airflow, endpoint; on 127.0.0.1 only") as tell:
        ports = choose_ports(os.environ, only_defaults=False)
        stack = start_stack(supervisor, settings, ports=ports, serve=SPEC, with_mlflow=False)
        tell(", ".join(f"{name} {url}" for name, url in stack.urls.items()))
    title = f"Airflow backfill of {WEEK.count} days, {WEEK.first} to {WEEK.last}, by the real scheduler"
    with story.step(title) as tell:
        backfill = Backfill(stack.api(), spec, WEEK, supervisor.check)
        runs = backfill.run(show=story.progress, max_active_runs=ACTIVE_DAYS)
        tell(f"{len(runs)} DAG runs succeeded")
    _show(stack, spec, settings, story)


def _show(stack: Stack, spec: ScoringSpec, settings: Settings, story: Story) -> None:
    # Imported here: `--only data` needs no warehouse.
    from lockstep.demo.showcase import compare_with_endpoint, look_next, published_runs, show_tables

    runs = published_runs(spec, settings, WEEK)
    with story.step("What was published"):
        show_tables(spec, settings, story)
    if stack.served is not None and runs:
        with story.step("The endpoint answers for the same rows: the same model, the same Scorer") as tell:
            tell(compare_with_endpoint(stack.urls["Endpoint"], runs, story))
    look_next(spec, runs, settings, story=story)
