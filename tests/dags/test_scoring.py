"""What Airflow makes of the specs."""

import datetime as dt
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from lockstep.airflow.retries import RETRIES, Patience
from lockstep.airflow.step import StepOperator
from lockstep.errors import ModelChoiceInvalid
from lockstep.specs.model_choice import ModelChoice
from tests.dags.bags import parse

REPOSITORY = Path(__file__).parents[2]
CHAIN = ["pin_model", "plan", "materialize", "gate", "score", "audit", "publish"]

# Airflow 3.3 itself warns about its own parts while a bag is filled.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def dag(models: Path) -> DAG:
    """The DAG of the one valid spec."""
    bag = parse()
    assert bag.import_errors == {}
    return bag.dags["score_flight_delay"]


FAMILIES = ("label", "maintain", "parity", "promote", "report", "rollback", "score", "train")


def dag_ids(*names: str) -> list[str]:
    return sorted(f"{family}_{name}" for family in FAMILIES for name in names)


def test_each_spec_has_a_dag_of_each_family(models: Path) -> None:
    second = (models / "flight_delay" / "scoring.yaml").read_text().replace("name: flight_delay\nd", "name: second\nd")
    (models / "second").mkdir()
    (models / "second" / "scoring.yaml").write_text(second)
    bag = parse()
    assert bag.import_errors == {}
    assert sorted(bag.dags) == dag_ids("flight_delay", "second")


def test_bad_spec_is_a_visible_error_of_another_file_and_keeps_the_other_dags(models: Path) -> None:
    good = (models / "flight_delay" / "scoring.yaml").read_text()
    (models / "broken").mkdir()
    (models / "broken" / "scoring.yaml").write_text(good.replace("owner: flight-operations", "ownr: nobody"))
    bag = parse()
    assert sorted(bag.dags) == dag_ids("flight_delay")
    assert list(bag.import_errors) == ["invalid_specs.py"]  # an error of scoring.py would make all its DAGs stale
    (text,) = bag.import_errors.values()
    assert "broken/scoring.yaml" in text
    assert "line 6, key ownr: unknown key" in text


def test_spec_that_only_airflow_refuses_is_reported_the_same_way(models: Path) -> None:
    good = (models / "flight_delay" / "scoring.yaml").read_text()
    (models / "flight_delay" / "scoring.yaml").write_text(good.replace('"0 6 * * *"', '"*/0 6 * * *"'))
    bag = parse()
    assert sorted(bag.dags) == [name for name in dag_ids("flight_delay") if not name.startswith("score")]
    (text,) = bag.import_errors.values()
    assert "flight_delay/scoring.yaml" in text
    assert "*/0 6" in text


def test_serialises(dag: DAG) -> None:
    assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == "score_flight_delay"


def test_steps_follow_one_another(dag: DAG) -> None:
    for first, then in pairwise(CHAIN):
        assert then in dag.get_task(first).downstream_task_ids
    assert dag.get_task("publish").downstream_task_ids == {"report", "published"}


def test_a_report_of_a_failed_run_does_not_make_it_a_success(dag: DAG) -> None:
    assert dag.get_task("report").trigger_rule == "all_done"
    assert dag.get_task("published").trigger_rule == "all_success"
    assert {task.task_id for task in dag.leaves} == {"report", "published"}


def test_spark_tasks_share_one_pool_and_have_the_specs_time_limit(dag: DAG) -> None:
    for name in ("materialize", "score"):
        task = dag.get_task(name)
        assert task.pool == "spark"
        assert task.execution_timeout == dt.timedelta(hours=1)
    assert dag.get_task("publish").pool == "warehouse_duckdb"


def test_the_input_of_a_table_needs_no_spark(models: Path) -> None:
    spec = models / "flight_delay" / "scoring.yaml"
    text = re.sub(r"(?ms)^input:.*?(?=^partition:)", "input:\n  table: {path: features}\n", spec.read_text())
    spec.write_text(re.sub(r"(?ms)^reporting:.*?(?=^limits:)", "", text))
    bag = parse()
    assert bag.import_errors == {}
    task = bag.dags["score_flight_delay"].get_task("materialize")
    assert isinstance(task, StepOperator)
    assert task.arguments[:2] == ["step", "materialize"]
    assert task.pool == "default_pool"
    assert task.execution_timeout == dt.timedelta(hours=1)


def test_other_dags_can_be_scheduled_by_the_published_table(dag: DAG) -> None:
    assert [asset.uri for asset in dag.get_task("publish").outlets] == ["lockstep://duckdb/flight_delay_scores"]


def test_every_task_is_retried_with_growing_delays(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries == RETRIES
        assert isinstance(task.retry_policy, Patience)
        assert task.retry_exponential_backoff > 1  # the factor: True would be 1, and the delays all the same


def test_page_describes_the_model(dag: DAG) -> None:
    page = dag.doc_md or ""
    for text in (
        "# Nightly scoring.",
        "alias `champion`",
        "flight_delay_scores",
        "flight-operations",
        "15 or more minutes",
    ):
        assert text in page


def test_the_form_is_valid_as_it_comes(dag: DAG) -> None:
    assert list(dag.params) == ["model", "date", "checks", "dry_run", "fresh_model"]
    dag.params.validate()
    assert dag.params["model"] == "@champion"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("model", ["@challenger", "17", "as-published"], ["champion", "0", "1.5", "", "@", "published", None]),
        ("date", ["2013-08-01", None], ["yesterday", "2013-13-01", ""]),
        ("checks", ["normal", "strict"], ["off", None]),
        ("dry_run", [True, False], ["yes", None]),
    ],
)
def test_the_form_refuses_what_would_fail_later(dag: DAG, name: str, good: list[Any], bad: list[Any]) -> None:
    param = dag.params.get_param(name)
    for value in good:
        assert param.resolve(value) == value
    for value in bad:
        with pytest.raises(ParamValidationError):
            param.resolve(value)


def test_the_form_and_the_command_line_read_a_model_alike(dag: DAG) -> None:
    pattern = dag.params.get_param("model").schema["pattern"]
    for text in ("@a.b-c_1", "1", "as-published", "@", "01", "-1", "champion", "@a b", "1\n"):
        try:
            ModelChoice.parse(text)
            readable = True
        except ModelChoiceInvalid:
            readable = False
        assert readable == (re.search(pattern, text) is not None and not text.endswith("\n")), text


def test_backfill_finds_exactly_the_days_it_is_asked_for(dag: DAG) -> None:
    scheduler_dag = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    zone = dt.timezone(dt.timedelta(hours=-4))
    first, last = dt.datetime(2013, 8, 1, tzinfo=zone), dt.datetime(2013, 8, 7, 23, 59, tzinfo=zone)
    infos = list(scheduler_dag.iter_dagrun_infos_between(first, last))
    assert [info.logical_date.astimezone(zone).day for info in infos] == list(range(1, 8))


def test_parsing_in_a_fresh_process_imports_nothing_heavy() -> None:
    command = [sys.executable, "-m", "benchmarks.dag_parse", "--specs", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "10 DAGs" in done.stdout
