"""The task `canary`: in which DAGs it is, what it says, and the note of a run whose canary was aborted."""

import datetime as dt
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.listeners.listener import get_listener_manager
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert

from lockstep.airflow.canary import CanaryOperator
from tests.dags.bags import parse
from tests.dags.tasks import DataPlane, context

DAG_ID = "score_flight_delay"
RUN_ID = "manual__1"
TRIAL = {
    "challengers": [{"alias": "challenger"}],
    "canary": {"challenger": "challenger", "ramp": {dt.date(2013, 8, 1): 0.05}},
}
ABORTED = '{"outcome": "aborted", "version": 4, "reasons": ["its scores differ"]}'
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def with_canary(models: Path) -> Path:
    """The spec, with a canary."""
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "trial": TRIAL}))
    return models


def test_it_stands_before_the_audit_and_only_where_it_is_asked_for(with_canary: Path) -> None:
    bag = parse()
    assert bag.import_errors == {}
    dag = bag.dags[DAG_ID]
    canary = dag.get_task("canary")
    assert canary.upstream_task_ids == {"score", "compare"}
    assert canary.downstream_task_ids == {"audit"}
    assert canary.trigger_rule == "all_done_min_one_success"
    assert dag.get_task("plan").skip_when_live == ["materialize", "gate", "score", "audit", "compare", "canary"]
    assert canary.arguments[:2] == ["step", "canary"]
    assert canary.arguments[-2] == "{{ '--dry-run' if params.dry_run else '--no-dry-run' }}"


def test_a_spec_without_a_canary_has_no_such_task(models: Path) -> None:
    dag = parse().dags[DAG_ID]
    assert not dag.has_task("canary")
    assert dag.get_task("score").downstream_task_ids == {"audit"}


def test_an_abort_is_a_success_that_warns(data_plane: DataPlane, capsys: pytest.CaptureFixture[str]) -> None:
    data_plane(f"echo '{ABORTED}'")
    done = CanaryOperator(task_id="canary", arguments=["step", "canary"]).execute(context())
    assert (done["outcome"], done["reasons"]) == ("aborted", ["its scores differ"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "the canary is aborted" in line]
    assert len(lines) == 1
    assert "[warning" in lines[0]
    assert "the champion answers for all rows: its scores differ" in lines[0]


@pytest.fixture
def run(models: Path) -> Iterator[tuple[Any, DagRun]]:
    """A run in Airflow's own tables; nothing of it stays."""
    initdb()
    with create_session() as session:
        session.add(DagBundleModel(name="dags-folder"))
        session.flush()
        session.add(
            DagModel(
                dag_id=DAG_ID,
                tags=[DagTag(name="lockstep")],
                bundle_name="dags-folder",
                is_paused=False,
                is_stale=False,
            )
        )
        session.flush()
        now = dt.datetime(2013, 8, 1, 4, tzinfo=dt.UTC)
        made = DagRun(
            dag_id=DAG_ID,
            run_id=RUN_ID,
            logical_date=now,
            run_after=now,
            data_interval=(now, now),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
        )
        session.add(made)
        session.flush()
        yield session, made
        session.rollback()


def told(session: Any, run: DagRun, **facts: Any) -> None:
    """Write the XCom of a run's canary, as its task does."""
    of_task = {"task_id": "canary", "map_index": -1, "run_id": run.run_id, "dag_id": run.dag_id}
    other = {"max_tries": 2, "pool": "default_pool", "pool_slots": 1, "span_status": "not_started"}
    session.execute(insert(TaskInstance).values(**of_task, **other, id=uuid.uuid4()))
    row = {"dag_run_id": run.id, "key": "return_value", **of_task}
    session.execute(insert(XComModel).values(**row, value=facts))
    session.flush()


@pytest.mark.parametrize("hook", ["on_dag_run_success", "on_dag_run_failed"])
def test_the_note_says_that_it_was_aborted_and_why(run: tuple[Any, DagRun], hook: str) -> None:
    session, made = run
    told(session, made, outcome="aborted", version=4, reasons=["its scores differ", "it is slow"])
    getattr(get_listener_manager().hook, hook)(dag_run=made, msg="")
    assert made.note == "The canary of version 4 is aborted: its scores differ; it is slow"


def test_other_runs_keep_their_notes(run: tuple[Any, DagRun]) -> None:
    session, made = run
    get_listener_manager().hook.on_dag_run_success(dag_run=made, msg="")
    assert made.note is None
    told(session, made, outcome="active", version=4, reasons=[])
    get_listener_manager().hook.on_dag_run_success(dag_run=made, msg="")
    assert made.note is None
