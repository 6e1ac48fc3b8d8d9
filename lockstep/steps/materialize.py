"""Materialise and score: the two steps that Spark runs, as the command line starts them."""

from collections.abc import Callable
from typing import Any

from lockstep.data.table_input import plan_table_input
from lockstep.run.folder import INPUT, RunFolder
from lockstep.run.partition_lock import alone
from lockstep.run.trials import scored
from lockstep.scoring.attempts import remove_strays
from lockstep.specs.settings import Settings
from lockstep.steps.progress import ProgressWatch, RunProgress
from lockstep.steps.score import summary
from lockstep.steps.spark import submit_job, told

Progress = Callable[[RunProgress], None]


def _silent(_: RunProgress) -> None:
    """Show nothing."""


def materialize(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Run the feature query, or plan the units of a table, unless the result is there.

    A table is not copied and needs no Spark: that takes seconds less than starting one.

    Returns:
        `rows` and whether the result of an earlier attempt, or of another run that was waited for, was `reused`.

    Raises:
        PartitionBusy: Another run computes this partition.
        LockstepError: The job failed.
    """
    reused = folder.has(INPUT)
    if not reused:
        plan = folder.plan(step="materialize")
        with alone("materialize", folder, settings, tell=told) as lease:
            reused = folder.has(INPUT)
            if not reused:
                with folder.timed("materialize"):
                    if plan.spec.input.table is not None:
                        plan_table_input(folder, plan.spec.input.table)
                    else:
                        submit_job(
                            "materialize", folder, settings, timeout_s=plan.spec.limits.timeout_s, on_poll=lease.check
                        )
    return {"rows": folder.scoring_input(step="materialize").rows, "reused": reused}


def score(folder: RunFolder, settings: Settings, *, progress: Progress = _silent) -> dict[str, Any]:
    """Score the units that are not finished, for the champion or for a challenger.

    Args:
        folder: A run whose input is materialised.
        settings: Where things are.
        progress: Told how far the run is, a few times a second.

    Returns:
        Rows in, scored and quarantined, units, and whether all of it was `reused`.

    Raises:
        PartitionBusy: Another run computes this partition.
        LockstepError: The job failed.
    """
    reused = scored(folder)
    if not reused:
        plan = folder.plan(step="score")
        watch = ProgressWatch(folder, folder.scoring_input(step="score"))
        with alone("score", folder, settings, tell=told) as lease:

            def on_poll() -> None:
                lease.check()
                progress(watch.look())

            reused = scored(folder)
            if not reused:
                with folder.timed("score"):
                    submit_job("score", folder, settings, timeout_s=plan.spec.limits.timeout_s, on_poll=on_poll)
    if reused:  # the process that wrote the manifest may have died before it had tidied up
        remove_strays(folder, folder.manifest(step="score").units)
    return summary(folder, reused=reused)
