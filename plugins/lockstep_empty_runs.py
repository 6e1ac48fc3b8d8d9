"""Fails a run that did nothing: Airflow calls a run without tasks a success.

Airflow leaves out every task when a run's logical date is before the DAG's first day or after its last one, as when
somebody triggers a DAG whose spec ended, with the date of today. Nothing was scored then, and nobody would notice.
"""

import logging
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

TAG = "lockstep"  # all of our DAGs have it
NOTE = (
    "Nothing ran: the logical date {date} lies outside the days of this DAG, so Airflow left out all tasks. "
    "Trigger it again without a logical date, and name the day in the form."
)

log = logging.getLogger("lockstep.empty_runs")


class EmptyRuns:
    """A listener of the scheduler."""

    @hookimpl
    def on_dag_run_success(self, dag_run: "DagRun", msg: str) -> None:  # noqa: ARG002 - Airflow's interface
        """Turn a success without tasks into a failure that says what to do."""
        from airflow.utils.state import DagRunState

        dag = getattr(dag_run, "dag", None)
        if (
            dag is None
            or TAG not in dag.tags
            or not dag.task_dict
            or dag_run.get_task_instances(session=_session(dag_run))
        ):
            return
        text = NOTE.format(date=f"{dag_run.logical_date:%Y-%m-%d}" if dag_run.logical_date else "of the run")
        log.error("%s %s: %s", dag_run.dag_id, dag_run.run_id, text)
        dag_run.set_state(DagRunState.FAILED)
        if not dag_run.note:
            dag_run.note = text


def _session(dag_run: "DagRun") -> object:
    from sqlalchemy.orm import object_session

    return object_session(dag_run)
