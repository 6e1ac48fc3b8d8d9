"""Stops a backfill that goes wrong: after some failed days Airflow starts no more of them.

Airflow itself goes on to the last day, however many have failed. What runs already is left alone. The backfill is
paused, as if somebody had clicked there, and the run that was one too many says so in its note.
"""

import logging
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.listeners import hookimpl

from lockstep.airflow.notes import add_note
from lockstep.airflow.ours import models_root_of, session_of

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

    from lockstep.specs.spec import Schedule

log = logging.getLogger("lockstep.backfill")


class BackfillBreaker:
    """A listener of the scheduler."""

    @hookimpl
    def on_dag_run_failed(self, dag_run: "DagRun", msg: str) -> None:  # noqa: ARG002 - Airflow's interface
        """Pause the backfill of a failed run when too many of its runs have failed."""
        if dag_run.backfill_id is None or (session := session_of(dag_run)) is None:
            return
        schedule = schedule_of(dag_run)
        failed = pause_if_failing(dag_run, schedule, session=session) if schedule is not None else ""
        if failed:
            log.warning("backfill %s of %s is paused: %s", dag_run.backfill_id, dag_run.dag_id, failed)
            add_note(dag_run, f"The backfill was paused after this run: {failed}.")


def schedule_of(dag_run: Any) -> "Schedule | None":
    """Return the schedule of a scoring DAG's spec; none: it is another DAG of ours, or has no spec any more."""
    from lockstep.airflow.plugin import spec_of
    from lockstep.errors import LockstepError
    from lockstep.specs.loading import find_spec

    name = spec_of(dag_run.dag_id)
    if name is None:
        return None
    try:
        return find_spec(models_root_of(dag_run), name).spec.schedule
    except LockstepError as error:  # removed or broken since the run began
        log.warning("no limit of failed days is known for %s: %s", dag_run.dag_id, error)
        return None


def pause_if_failing(dag_run: Any, schedule: "Schedule", *, session: "Session") -> str:
    """Pause the backfill of a run, in the scheduler's own transaction.

    Args:
        dag_run: A run that has just failed.
        schedule: Of its spec.
        session: The scheduler's.

    Returns:
        Why it is paused; empty if it is not, or was already.
    """
    from airflow.models.backfill import Backfill
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    most, zone = schedule.max_failed_days, ZoneInfo(schedule.timezone)
    if most is None:
        return ""
    session.flush()  # Airflow's sessions do not by themselves, and the state of this run is news
    backfill = session.get(Backfill, dag_run.backfill_id)
    ours = (DagRun.backfill_id == dag_run.backfill_id, DagRun.state == DagRunState.FAILED)
    days = sorted(session.scalars(select(DagRun.logical_date).where(*ours)))
    if backfill is None or backfill.is_paused or backfill.completed_at is not None or len(days) < most:
        return ""
    backfill.is_paused = True
    shown = ", ".join(f"{day.astimezone(zone):%Y-%m-%d}" for day in days[-most:])
    return f"{len(days)} of its days failed (limit: {most}), the last of them {shown}"
