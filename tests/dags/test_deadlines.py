"""Deadlines, as Airflow's scheduler keeps them and its executor's callback process tells of them."""

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from airflow.dag_processing.dagbag import sync_bag_to_db
from airflow.models.callback import ExecutorCallback
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.deadline import Deadline
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk.execution_time.callback_supervisor import execute_callback
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

from tests.dags.bags import DAGS, parse
from tests.dags.receivers import web

DAG_ID = "score_flight_delay"
ALERTS = "alerts: [{on: [deadline], to: webhook, env: OPS_URL}]\n"
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def session(models: Path) -> Iterator[Any]:
    """What the scheduler works in, with a spec that allows a run 90 minutes; nothing of it stays."""
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(file.read_text().replace("schedule:\n", "schedule:\n  deadline_minutes: 90\n") + ALERTS)
    initdb()
    with create_session() as opened:
        opened.add(DagBundleModel(name="dags-folder"))
        opened.flush()
        bag = parse()
        assert bag.import_errors == {}
        sync_bag_to_db(bag, "dags-folder", None, session=opened)
        yield opened
        opened.rollback()


def queued(session: Any, run_type: DagRunType) -> DagRun:
    now = dt.datetime.now(dt.UTC)
    run: DagRun = SerializedDagModel.get(DAG_ID, session=session).dag.create_dagrun(
        run_id=f"{run_type}__now",
        logical_date=now,
        data_interval=(now, now),
        run_after=now,
        run_type=run_type,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.QUEUED,
        session=session,
    )
    session.flush()
    return run


def missed(session: Any, run: DagRun) -> dict[str, Any]:
    """Do what the scheduler does when the time is over; return what the executor is given."""
    deadline = session.scalar(select(Deadline).where(Deadline.dagrun_id == run.id))
    assert deadline.deadline_time - run.queued_at == dt.timedelta(minutes=90)
    assert isinstance(deadline.callback, ExecutorCallback)
    deadline.handle_miss(session)
    assert deadline.missed
    return dict(deadline.callback.data)


def told(data: dict[str, Any]) -> tuple[bool, str | None]:
    return execute_callback(data["path"], data["kwargs"], "scoring.py", DAGS, structlog.get_logger())


def test_a_late_run_is_told_of_once_with_its_owner(
    session: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queued(session, DagRunType.MANUAL)
    with web() as receiver, caplog.at_level(logging.ERROR, logger="lockstep.airflow.deadlines"):
        monkeypatch.setenv("OPS_URL", receiver.url("/ops"))
        data = missed(session, run)
        assert [told(data), told(data)] == [(True, None)] * 2
    ((_, _, heard),) = receiver.got
    assert heard["title"] == "flight_delay is late"
    assert heard["reason"] in caplog.messages
    assert "is not done 90 minutes after it was queued. Whom to ask: flight-operations" in heard["reason"]
    assert run.run_id.split("__")[0] in heard["links"]["DAG run"]


def test_a_day_of_a_backfill_may_wait(session: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="lockstep.airflow.deadlines"):
        assert told(missed(session, queued(session, DagRunType.BACKFILL_JOB))) == (True, None)
    assert caplog.messages == []


def test_without_a_limit_there_is_no_deadline(models: Path) -> None:
    assert not parse().dags[DAG_ID].deadline


def test_score_waits_for_a_gpu_where_it_is_told_to_use_one(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DEVICE", "cuda")
    dag = parse().dags[DAG_ID]
    assert (dag.get_task("materialize").pool, dag.get_task("score").pool) == ("spark", "gpu")
