"""Where gate and audit measure: in this process, or as a Spark job when there are many rows."""

from collections.abc import Callable
from typing import Literal

from lockstep.errors import CheckFailed
from lockstep.quality.results import warnings_of
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, GATE, RunFolder
from lockstep.run.partition_lock import alone
from lockstep.specs.settings import Settings
from lockstep.steps.request import refusals
from lockstep.steps.spark import submit_job, told

FILES = {"gate": GATE, "audit": AUDIT}


def checked(
    stage: Literal["gate", "audit"],
    rows: int,
    *,
    folder: RunFolder,
    settings: Settings,
    here: Callable[[], Verdict],
    earlier: Callable[[], Verdict | None],
) -> Verdict:
    """Check a stage where its size belongs, and return the verdict that was written.

    The job `jobs/<stage>.py` does what `here` does, on Spark; that a run is refused is told by who reads the verdict.

    Args:
        stage: `gate` or `audit`.
        rows: That it looks at; above `limits.checks_spark_rows` Spark measures.
        folder: The run.
        settings: Where things are.
        here: Checks in this process and writes the verdict.
        earlier: Returns a verdict that still holds; asked when another run that did the same was waited for.

    Raises:
        PartitionBusy: Another run computes this partition on Spark.
        LockstepError: What `here` raises, or the job in its place; `SparkJobFailed` if it died.
    """
    limits = folder.plan(step=stage).spec.limits
    if rows <= limits.checks_spark_rows:
        return here()
    with alone(stage, folder, settings, tell=told) as lease:
        found = earlier()
        if found is not None:
            return found
        submit_job(stage, folder, settings, timeout_s=limits.timeout_s, on_poll=lease.check)
    return folder.read_record(FILES[stage], Verdict, step=stage)


def stop_on_warnings(stage: str, folder: RunFolder, settings: Settings) -> None:
    """Refuse a run whose stage passed with warnings, as somebody asked who wants none.

    The verdict stays what it was: the same run may go on when it is run again without that wish.

    Raises:
        CheckFailed: There are warnings.
    """
    verdict = folder.read_record(FILES[stage], Verdict, step=stage)
    warnings = warnings_of(verdict.results)
    if warnings:
        report = str(folder.file(FILES[stage]))
        failures = [f"{line} (a warning; warnings stop this run)" for line in warnings]
        with refusals(folder, settings):
            raise CheckFailed(stage, partition=verdict.partition.isoformat(), failures=failures, report=report)
