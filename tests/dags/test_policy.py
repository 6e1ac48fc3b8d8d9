"""What every DAG and every task of ours has to have, so that whoever is on call is not left alone."""

import datetime as dt
import importlib
import pkgutil
import re
from pathlib import Path
from typing import get_args

import pytest
from airflow.sdk import DAG

import lockstep.airflow
from lockstep.airflow.dags import Family
from lockstep.airflow.families import FAMILIES
from lockstep.run.pools import WRITERS
from lockstep.services.airflow import POOLS
from lockstep.specs.spec import Publish
from tests.dags.bags import DAGS, parse

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TABLES_OF_THEIR_OWN = ("duckdb", "postgresql")


@pytest.fixture(params=get_args(Publish.model_fields["warehouse"].annotation))
def dags(models: Path, request: pytest.FixtureRequest) -> list[DAG]:
    """All DAGs, of a spec that publishes to each kind of warehouse; of one that assets start too."""
    file = models / "flight_delay" / "scoring.yaml"
    text = file.read_text().replace("warehouse: duckdb", f"warehouse: {request.param}")
    if request.param not in TABLES_OF_THEIR_OWN:
        text = re.sub(r"\nreporting:\n(  .*\n)+", "\n", text)
    if request.param == "delta":
        text = text.replace("schedule:\n", "schedule:\n  assets: [lake://flights]\n")
    file.write_text(text)
    bag = parse()
    assert bag.import_errors == {}
    assert bag.dags
    return list(bag.dags.values())


def test_somebody_owns_it_and_its_page_says_what_it_does(dags: list[DAG]) -> None:
    for dag in dags:
        assert "lockstep" in dag.tags
        assert len(dag.doc_md or "") > 500
        for task in dag.tasks:
            assert task.owner not in {"", "airflow"}, task.task_id
            assert task.doc_md, task.task_id


def test_nothing_runs_for_ever_and_what_may_pass_later_is_repeated(dags: list[DAG]) -> None:
    for dag in dags:
        assert dag.max_active_runs <= 16
        for task in dag.tasks:
            # Who waits for a person has a time limit of its own.
            limit = getattr(task, "response_timeout", None) or task.execution_timeout
            assert limit, task.task_id
            assert limit <= dt.timedelta(days=7), task.task_id
            assert task.retries >= 1, task.task_id
            assert task.retry_delay >= dt.timedelta(seconds=1), task.task_id


def test_what_is_scarce_has_a_pool_that_lockstep_makes(dags: list[DAG]) -> None:
    for dag in dags:
        for task in dag.tasks:
            assert task.pool in {"default_pool", *POOLS}, task.task_id
            if task.task_id in {"materialize", "score", "publish", "rollback", "vacuum", "measure"}:
                assert task.pool != "default_pool", task.task_id


def test_every_kind_of_warehouse_has_a_pool() -> None:
    assert set(WRITERS) == set(get_args(Publish.model_fields["warehouse"].annotation))


def test_problems_are_looked_for_in_every_family() -> None:
    names = [info.name for info in pkgutil.iter_modules(lockstep.airflow.__path__, "lockstep.airflow.")]
    families = {each for name in names for each in vars(importlib.import_module(name)).values() if type(each) is Family}
    assert families == set(FAMILIES)
    assert {family.file for family in families} | {"invalid_specs.py"} == {file.name for file in DAGS.glob("*.py")}
