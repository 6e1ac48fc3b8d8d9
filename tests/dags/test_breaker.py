"""A backfill that goes wrong, in Airflow's own tables and by Airflow's own listeners."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.listeners.listener import get_listener_manager
from airflow.models.backfill import Backfill, BackfillDagRun
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

DAG_ID = "score_flight_delay"
# Midnight in New York, where the spec's days begin: in UTC it is the same day, and 20:00 the next evening is not.
FIRST = dt.datetime(2013, 8, 1, 4, tzinfo=dt.UTC)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tables() -> None:
    """Airflow's tables, in the folder that the tests have to themselves."""
    initdb()


@pytest.fixture
def session(tables: None, models: Path) -> Iterator[Any]:
    """What the scheduler works in; nothing of it stays."""
    with create_session() as opened:
        opened.add(DagBundleModel(name="dags-folder"))
        opened.flush()
        opened.add(
            DagModel(
                dag_id=DAG_ID,
                tags=[DagTag(name="lockstep")],
                bundle_name="dags-folder",
                max_active_tasks=4,
                is_paused=False,
                is_stale=False,
            )
        )
        opened.flush()
        yield opened
        opened.rollback()


def backfill(session: Any, days: int, *, first: dt.datetime = FIRST) -> tuple[Backfill, list[DagRun]]:
    """A backfill whose days all wait."""
    made = Backfill(dag_id=DAG_ID, from_date=first, to_date=first + dt.timedelta(days=days), dag_run_conf={})
    session.add(made)
    session.flush()
    runs = []
    for number in range(days):
        date = first + dt.timedelta(days=number)
        run = DagRun(
            dag_id=DAG_ID,
            run_id=f"backfill__{made.id}_{number}",
            logical_date=date,
            run_after=date,
            data_interval=(date, date + dt.timedelta(days=1)),
            state=DagRunState.QUEUED,
            run_type=DagRunType.BACKFILL_JOB,
            triggered_by=DagRunTriggeredByType.BACKFILL,
            backfill_id=made.id,
        )
        session.add(run)
        session.flush()
        session.add(BackfillDagRun(backfill_id=made.id, dag_run_id=run.id, logical_date=date, sort_ordinal=number + 1))
        runs.append(run)
    session.flush()
    return made, runs


def fail(session: Any, run: DagRun) -> None:
    """Do what the scheduler does when a run fails."""
    run.state = DagRunState.FAILED
    get_listener_manager().hook.on_dag_run_failed(dag_run=run, msg="task_failure")


def waiting(session: Any) -> list[int]:
    """The runs that the scheduler would start next."""
    session.flush()
    return [run.id for run in DagRun.get_queued_dag_runs_to_set_running(session)]


def test_after_three_failed_days_no_more_are_started(session: Any) -> None:
    made, runs = backfill(session, 10)
    for run in runs[:2]:
        fail(session, run)
    assert (bool(made.is_paused), len(waiting(session))) == (False, 8)
    fail(session, runs[4])
    assert (made.is_paused, waiting(session)) == (True, [])
    assert runs[4].note == (
        "The backfill was paused after this run: 3 of its days failed (limit: 3), the last of them "
        "2013-08-01, 2013-08-02, 2013-08-05."
    )
    assert [run.note for run in runs[:2]] == [None, None]


def test_one_that_was_resumed_stops_again_at_the_next_failure_until_days_are_mended(session: Any) -> None:
    made, runs = backfill(session, 10)
    for run in runs[:3]:
        fail(session, run)
    made.is_paused = False
    runs[0].state = DagRunState.SUCCESS  # cleared, and good now
    fail(session, runs[3])
    assert made.is_paused is True
    made.is_paused = False
    for run in runs[:3]:
        run.state = DagRunState.SUCCESS
    fail(session, runs[5])
    assert made.is_paused is False


def test_days_that_fail_outside_a_backfill_or_in_another_one_do_not_count(session: Any) -> None:
    made, runs = backfill(session, 10)
    made.completed_at = FIRST
    for run in runs[:5]:
        fail(session, run)
    assert not made.is_paused
    other, others = backfill(session, 3, first=FIRST + dt.timedelta(days=30))
    for run in others[:2]:
        fail(session, run)
    assert not other.is_paused
    runs[5].backfill_id = None
    fail(session, runs[5])


@pytest.mark.parametrize("limit", ["null", "5"])
def test_the_limit_is_the_specs(session: Any, models: Path, limit: str) -> None:
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(file.read_text().replace("schedule:\n", f"schedule:\n  max_failed_days: {limit}\n"))
    made, runs = backfill(session, 6)
    for run in runs[:4]:
        fail(session, run)
    assert not made.is_paused
    fail(session, runs[4])
    assert bool(made.is_paused) == (limit == "5")


def test_a_spec_that_is_gone_or_not_ours_harms_nobody(session: Any, models: Path) -> None:
    made, runs = backfill(session, 4)
    (models / "flight_delay" / "scoring.yaml").write_text("{")
    for run in runs:
        fail(session, run)
    assert not made.is_paused
    runs[0].dag_id = "somebody_elses"
    fail(session, runs[0])
    session.expire_all()
