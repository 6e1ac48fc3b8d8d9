"""The DAGs that a person starts, or the night: what they ask for, and what they run."""

from pathlib import Path
from typing import Any

import jinja2
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from lockstep.airflow.upkeep import rollback_options
from tests.dags.bags import parse

pytestmark = pytest.mark.filterwarnings("ignore")
FORM = {
    "first_day": None,
    "last_day": None,
    "model_version": None,
    "with_alias": False,
    "reason": None,
    "dry_run": False,
}


@pytest.fixture
def dags(models: Path) -> dict[str, DAG]:
    """The DAGs of the one spec, by family."""
    bag = parse()
    assert bag.import_errors == {}
    return {dag_id.partition("_")[0]: dag for dag_id, dag in bag.dags.items()}


def test_every_form_can_be_sent_as_it_comes(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        dag.params.validate()
        # Airflow's form takes an empty text for a missing value, which it lets pass only where nothing is a value too.
        assert "" not in [dag.params[name] for name in dag.params], dag.dag_id


def rendered(dag: DAG, task_id: str, *, params: dict[str, Any] | None = None, candidate: Any = None) -> list[str]:
    """The command line of a task, with the form as it comes but for some fields."""
    values = {**{name: dag.params[name] for name in dag.params}, **(params or {})}

    class Ti:
        def xcom_pull(self, *, task_ids: str) -> Any:
            return {"candidate": candidate}[task_ids]

    engine = jinja2.Environment()
    arguments = dag.get_task(task_id).arguments
    return [engine.from_string(text).render(params=values, ti=Ti()) for text in arguments]


def test_forms_are_valid_as_they_come_and_the_scheduler_knows_the_dags(dags: dict[str, DAG]) -> None:
    assert {"maintain", "promote", "rollback", "score"} <= set(dags)
    for dag in dags.values():
        dag.params.validate()
        assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == dag.dag_id


def test_the_night_vacuums_and_a_dry_run_only_says_so(dags: dict[str, DAG]) -> None:
    night = dags["maintain"]
    assert night.timetable.expression == "15 3 * * *"
    assert rendered(night, "vacuum") == ["vacuum", "flight_delay", "--no-dry-run", "--json"]
    assert rendered(night, "vacuum", params={"dry_run": True})[2] == "--dry-run"


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ({"first_day": "2013-08-01"}, ["--from", "2013-08-01", "--to", "2013-08-01"]),
        ({"first_day": "2013-08-01", "last_day": "2013-08-07"}, ["--from", "2013-08-01", "--to", "2013-08-07"]),
        ({"model_version": 3, "reason": "-bad\n$(x) ä"}, ["--model-version", "3", "--reason=-bad\n$(x) ä"]),
    ],
)
def test_a_rollback_does_what_the_form_says(form: dict[str, Any], options: list[str]) -> None:
    assert rollback_options({**FORM, **form}) == [*options, "--no-with-alias", "--no-dry-run"]
    both = {"with_alias": True, "dry_run": True}
    assert rollback_options({**FORM, **form, **both}) == [*options, "--with-alias", "--dry-run"]


@pytest.mark.parametrize("form", [{}, {"last_day": "2013-08-01"}, {"last_day": "2013-08-01", "model_version": 2}])
def test_a_form_that_says_nothing_is_refused_at_once(form: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="a first day"):
        rollback_options({**FORM, **form})


def test_promotion_asks_before_it_moves_and_moves_what_was_asked_about(dags: dict[str, DAG]) -> None:
    promotion = dags["promote"]
    assert promotion.get_task("candidate").downstream_task_ids == {"approve"}
    assert promotion.get_task("approve").downstream_task_ids == {"promote"}
    asked = rendered(promotion, "candidate", params={"model": "@next"})
    assert asked == ["model", "promote", "flight_delay", "--json", "--model", "@next", "--dry-run"]
    found = {"version": 4, "before": 3}
    assert rendered(promotion, "promote", candidate=found)[4:] == ["--model", "4", "--expect", "3"]
    first = {"version": 1, "before": None}
    assert rendered(promotion, "promote", candidate=first)[4:] == ["--model", "1", "--expect", "0"]


def test_the_question_says_what_would_change(dags: dict[str, DAG]) -> None:
    approve = dags["promote"].get_task("approve")
    facts = {"name": "m", "alias": "champion", "version": 4, "before": 3, "digest": "abcdef0123456789"}

    class Ti:
        def xcom_pull(self, *, task_ids: str) -> Any:
            return facts

    text = jinja2.Template(approve.body).render(ti=Ti(), params={"reason": "better on Mondays"})
    for words in ("version 3", "version 4", "abcdef012345", "better on Mondays", "Nothing that is live changes"):
        assert words in text
    assert jinja2.Template(approve.subject).render(ti=Ti()) == "Shall flight_delay version 4 become @champion?"


def test_a_promotion_is_of_an_alias_or_a_version(dags: dict[str, DAG]) -> None:
    model = dags["promote"].params.get_param("model")
    assert [model.resolve(text) for text in ("@challenger", "17")] == ["@challenger", "17"]
    for text in ("as-published", "champion", ""):
        with pytest.raises(ParamValidationError):
            model.resolve(text)
