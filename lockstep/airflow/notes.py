"""Says in the note of a failed run why it failed, so that nobody has to open a log to learn which day was refused.

Only a task's own process knows the reason, and only the scheduler may write notes. So the task leaves it in an XCom
(Airflow forgets that when the task runs again), and the scheduler reads it when the run has failed. A run that is
mended loses the note. Notes of people are left alone.
"""

import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from lockstep.airflow.ours import TAG, session_of

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

KEY = "failure"
OURS = "Failed: "
LONGEST = 990  # Airflow keeps 1,000 characters of a note
NOT_TOLD = "it ended without a word (killed, or marked as failed); see its log"

log = logging.getLogger("lockstep.notes")


class FailureNotes:
    """A listener of task processes and of the scheduler."""

    @hookimpl
    def on_task_instance_failed(
        self,
        previous_state: Any,  # noqa: ARG002 - Airflow's interface
        task_instance: Any,
        error: "str | BaseException | None",
    ) -> None:
        """Leave the reason of a failure where the scheduler finds it."""
        task = getattr(task_instance, "task", None)
        if (
            error is None
            or not hasattr(task_instance, "get_template_context")
            or not is_ours(getattr(task, "dag", None))
        ):
            return
        reason = str(getattr(error, "reason", "") or str(error) or type(error).__name__).strip()
        task_instance.xcom_push(key=KEY, value=reason[:LONGEST])

    @hookimpl
    def on_dag_run_failed(self, dag_run: "DagRun", msg: str) -> None:  # noqa: ARG002 - Airflow's interface
        """Write the note of a run that has failed."""
        session = session_of(dag_run)
        if session is None or (dag_run.note and not dag_run.note.startswith(OURS)):
            return
        reasons = reasons_of(dag_run, session)
        if reasons:
            dag_run.note = f"{OURS}{'; '.join(reasons)}"[:LONGEST]

    @hookimpl
    def on_dag_run_success(self, dag_run: "DagRun", msg: str) -> None:  # noqa: ARG002 - Airflow's interface
        """Take our note from a run that was mended."""
        if session_of(dag_run) is not None and dag_run.note and dag_run.note.startswith(OURS):
            dag_run.note = None


def is_ours(dag: Any) -> bool:
    """Whether a DAG was made from a spec."""
    return TAG in (getattr(dag, "tags", None) or ())


def reasons_of(dag_run: "DagRun", session: "Session") -> list[str]:
    """Return what each failed task of a run said, in the scheduler's own transaction."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    of_run = (TaskInstance.dag_id == dag_run.dag_id, TaskInstance.run_id == dag_run.run_id)
    failed = select(TaskInstance).where(*of_run, TaskInstance.state == TaskInstanceState.FAILED)
    found = []
    with session.no_autoflush:
        for task in session.scalars(failed.order_by(TaskInstance.end_date)):
            wanted = (
                XComModel.dag_id == task.dag_id,
                XComModel.run_id == task.run_id,
                XComModel.task_id == task.task_id,
            )
            told = session.scalars(select(XComModel).where(*wanted, XComModel.key == KEY)).first()
            text = XComModel.deserialize_value(told) if told is not None else NOT_TOLD
            found.append(f"{task.task_id}: {text}")
    return found


def add_note(dag_run: "DagRun", text: str) -> None:
    """Add to the note of a run, unless a person has written one."""
    if not dag_run.note:
        dag_run.note = text
    elif dag_run.note.startswith(OURS):
        dag_run.note = f"{dag_run.note[: LONGEST - len(text) - 1]}\n{text}"
