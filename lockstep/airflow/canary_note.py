"""Says in the note of a DAG run that its canary was aborted: the run is green, and should be looked at all the same."""

import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from lockstep.airflow.ours import session_of

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

TASK, ABORTED = "canary", "aborted"

log = logging.getLogger("lockstep.canary")


class CanaryNote:
    """A listener of the scheduler."""

    @hookimpl
    def on_dag_run_success(self, dag_run: "DagRun", msg: str) -> None:  # noqa: ARG002 - Airflow's interface
        """Write the note of a run whose canary was aborted, unless it has a note."""
        note_abort(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: "DagRun", msg: str) -> None:  # noqa: ARG002 - Airflow's interface
        """Do the same: what ended the run later does not undo the abort."""
        note_abort(dag_run)


def note_abort(dag_run: Any) -> None:
    """Write the note, in the scheduler's own transaction."""
    from lockstep.airflow.plugin import spec_of

    session = session_of(dag_run)
    if session is None or spec_of(dag_run.dag_id) is None or dag_run.note:
        return
    found = told_by_canary(dag_run, session)
    if found.get("outcome") == ABORTED:
        reasons = "; ".join(found.get("reasons", []))
        dag_run.note = f"The canary of version {found.get('version')} is aborted: {reasons}"
        log.warning("run %s of %s: %s", dag_run.run_id, dag_run.dag_id, dag_run.note)


def told_by_canary(dag_run: Any, session: "Session") -> dict[str, Any]:
    """Return the XCom of the run's canary; empty when there is none."""
    from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
    from sqlalchemy import select

    ours = {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id, "task_id": TASK, "key": XCOM_RETURN_KEY}
    row = session.scalars(select(XComModel).filter_by(**ours)).first()
    value = XComModel.deserialize_value(row) if row is not None else None
    return value if isinstance(value, dict) else {}
