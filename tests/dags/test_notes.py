"""The note of a failed run says why, by Airflow's own listeners and tables."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.listeners.listener import get_listener_manager
from airflow.models.dag import DagTag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import delete

from lockstep.airflow.notes import KEY
from lockstep.airflow.retries import telling
from tests.dags.test_breaker import DAG_ID, backfill, fail, session, tables

__all__ = ["session", "tables"]
pytestmark = pytest.mark.filterwarnings("ignore")


def failed_task(session: Any, run: Any, task_id: str, reason: str | None) -> None:
    """A failed task of a run, as its process and the scheduler leave it."""
    session.execute(
        TaskInstance.__table__.insert().values(
            dag_id=run.dag_id,
            run_id=run.run_id,
            task_id=task_id,
            map_index=-1,
            pool="default_pool",
            pool_slots=1,
            state=TaskInstanceState.FAILED,
            try_number=1,
            max_tries=0,
            queue="default",
            executor_config={},
        )
    )
    if reason is not None:
        XComModel.set(key=KEY, value=reason, task_id=task_id, dag_id=run.dag_id, run_id=run.run_id, session=session)


def test_a_failed_run_says_why_and_forgets_it_when_it_is_mended(session: Any) -> None:
    _, (run, *_) = backfill(session, 2)
    failed_task(session, run, "audit", "audit of partition 2013-08-01 failed: 3 rows are null")
    fail(session, run)
    assert run.note == "Failed: audit: audit of partition 2013-08-01 failed: 3 rows are null"
    run.state = DagRunState.SUCCESS
    get_listener_manager().hook.on_dag_run_success(dag_run=run, msg="")
    assert run.note is None


def test_a_killed_task_is_named_and_notes_of_people_stay(session: Any) -> None:
    _, (run, other, *_) = backfill(session, 2)
    failed_task(session, run, "score", None)
    fail(session, run)
    assert (run.note or "").startswith("Failed: score: it ended without a word")
    other.note = "looked at by Ann"
    failed_task(session, other, "gate", "nulls")
    fail(session, other)
    assert other.note == "looked at by Ann"


def test_why_it_failed_comes_before_what_was_done_about_it(session: Any) -> None:
    _, runs = backfill(session, 4)
    for run in runs[:3]:
        failed_task(session, run, "gate", "origin is null " * 100)
        fail(session, run)
    note = runs[2].note or ""
    assert note.startswith("Failed: gate: origin is null")
    assert "The backfill was paused after this run: 3 of its days failed" in note
    assert len(note) <= 1000


def test_the_task_leaves_the_reason_and_only_tasks_of_ours_do() -> None:
    pushed: dict[str, str] = {}

    def ti(*tags: str) -> Any:
        dag = SimpleNamespace(tags=set(tags))
        return SimpleNamespace(
            task=SimpleNamespace(dag=dag),
            get_template_context=dict,
            xcom_push=lambda *, key, value: pushed.update({key: value}),
        )

    error = telling(AirflowFailException("exit code 7\na long log"), "3 rows are null")
    hook = get_listener_manager().hook.on_task_instance_failed
    hook(previous_state=TaskInstanceState.RUNNING, task_instance=ti("theirs"), error=error)
    assert pushed == {}
    hook(previous_state=TaskInstanceState.RUNNING, task_instance=ti("lockstep"), error=error)
    assert pushed == {KEY: "3 rows are null"}


def test_runs_of_other_dags_are_left_alone(session: Any) -> None:
    """A team's Airflow has DAGs of its own, which may well be called score_something."""
    _, (run, *_) = backfill(session, 2)
    failed_task(session, run, "audit", None)
    session.execute(delete(DagTag))
    fail(session, run)
    assert run.note is None
    run.note = "Failed: says their own code"
    get_listener_manager().hook.on_dag_run_success(dag_run=run, msg="")
    assert run.note == "Failed: says their own code"


def test_a_run_outside_of_any_session_is_no_error() -> None:
    """As `airflow dags test` tells of it."""
    get_listener_manager().hook.on_dag_run_failed(dag_run=DagRun(dag_id=DAG_ID, run_id="test"), msg="")
