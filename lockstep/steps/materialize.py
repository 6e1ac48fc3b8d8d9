"""Materialise and score: the two steps that Spark runs, as the command line starts them."""

from collections.abc import Callable
from typing import Any

from lockstep.data.table_input import plan_table_input
from lockstep.run.folder import INPUT, RunFolder
from lockstep.run.trials import scored
from lockstep.scoring.attempts import remove_strays
from lockstep.specs.settings import Settings
from lockstep.steps.progress import RunProgress, progress_of
from lockstep.steps.request import refusals
from lockstep.steps.score import summary
from lockstep.steps.spark import submit_job

Progress = Callable[[RunProgress], None]


def _silent(_: RunProgress) -> None:
    """Show nothing."""


def materialize(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Run the feature query, or plan the units of a table, unless the result is there.

    A table is not copied and needs no Spark: that takes seconds less than starting one.

    Returns:
        `rows` and whether the result of an earlier attempt was `reused`.
    """
    reused = folder.has(INPUT)
    if not reused:
        plan = folder.plan(step="materialize")
        with folder.timed("materialize"):
            if plan.spec.input.table is not None:
                plan_table_input(folder, plan.spec.input.table)
            else:
                submit_job("materialize", folder, settings, timeout_s=plan.spec.limits.timeout_s)
    return {"rows": folder.scoring_input(step="materialize").rows, "reused": reused}


def score(folder: RunFolder, settings: Settings, *, progress: Progress = _silent) -> dict[str, Any]:
    """Score the units that are not finished, for the champion or for a challenger.

    Args:
        folder: A run whose input is materialised.
        settings: Where things are.
        progress: Told how far the run is, a few times a second.

    Returns:
        Rows in, scored and quarantined, units, and whether all of it was `reused`.
    """
    reused = scored(folder)
    if reused:  # the process that wrote the manifest may have died before it had tidied up
        remove_strays(folder, folder.manifest(step="score").units)
    else:
        plan, wanted = folder.plan(step="score"), folder.scoring_input(step="score")
        with folder.timed("score"), refusals(folder, settings):
            submit_job(
                "score",
                folder,
                settings,
                timeout_s=plan.spec.limits.timeout_s,
                on_poll=lambda: progress(progress_of(folder, wanted)),
            )
    return summary(folder, reused=reused)
