"""Runs for which Airflow makes no task are no successes."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import sync_bag_to_db
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

from tests.dags.bags import parse

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def session(models: Path) -> Iterator[Any]:
    """What the scheduler works in; nothing of it stays."""
    initdb()
    with create_session() as opened:
        opened.add(DagBundleModel(name="dags-folder"))
        opened.flush()
        sync_bag_to_db(parse(), "dags-folder", None, session=opened)
        yield opened
        opened.rollback()


def judged(session: Any, dag_id: str, date: dt.datetime | None) -> Any:
    """A manual run, after the scheduler has looked at it once."""
    dag = SerializedDagModel.get(dag_id, session=session).dag
    run = dag.create_dagrun(
        run_id="manual__now",
        logical_date=date,
        data_interval=None if date is None else (date, date),
        run_after=dt.datetime.now(dt.UTC),
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    session.flush()
    run.dag = dag
    run.update_state(session=session)
    return run


@pytest.mark.parametrize(
    ("dag_id", "date"),
    [
        ("score_flight_delay", dt.datetime(2026, 11, 22, tzinfo=dt.UTC)),  # the spec's days end in 2023
        ("maintain_flight_delay", dt.datetime(2013, 8, 1, tzinfo=dt.UTC)),
    ],
)
def test_a_run_outside_the_days_of_its_dag_fails_and_says_how_to_do_it(
    session: Any, dag_id: str, date: dt.datetime
) -> None:
    run = judged(session, dag_id, date)
    assert run.get_task_instances(session=session) == []
    assert run.state == DagRunState.FAILED
    assert run.note.startswith(f"Nothing ran: the logical date {date:%Y-%m-%d} lies outside the days of this DAG")


def test_a_run_without_a_logical_date_has_its_tasks(session: Any) -> None:
    run = judged(session, "score_flight_delay", None)
    assert len(run.get_task_instances(session=session)) == 9
    assert (run.state, run.note) == (DagRunState.RUNNING, None)
