"""The parity DAG: what it compares, and that a difference is final."""

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.bags import parse
from tests.dags.tasks import DataPlane, context

pytestmark = pytest.mark.filterwarnings("ignore")
FORM = {"date": None, "rows": 500, "url": None}


@pytest.fixture
def dag(models: Path) -> DAG:
    bag = parse()
    assert bag.import_errors == {}
    return bag.dags["parity_flight_delay"]


def test_it_compares_every_week_and_the_form_is_valid_as_it_comes(dag: DAG) -> None:
    assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == dag.dag_id
    dag.params.validate()
    assert {name: dag.params[name] for name in dag.params} == FORM
    assert dag.timetable.expression == "30 4 * * 0"
    for text in ("127.0.0.1:8090", "http://user:word@host", "http://a b"):
        with pytest.raises(ParamValidationError):
            dag.params.get_param("url").resolve(text)
    assert dag.params.get_param("url").resolve("http://127.0.0.1:8090")


def test_a_spec_may_want_it_by_hand_only(models: Path) -> None:
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(file.read_text() + "\nparity: {cron: null, rows: 20}\n")
    by_hand = parse().dags["parity_flight_delay"]
    assert (by_hand.schedule, by_hand.params["rows"]) == (None, 20)


def test_the_form_says_what_is_compared(dag: DAG, data_plane: DataPlane) -> None:
    data_plane("""echo "{\\"args\\": \\"$*\\", \\"partition\\": \\"2013-08-01\\"}" """)
    compare: Any = dag.get_task("compare")
    form = {**FORM, "date": "2013-08-01", "url": "http://127.0.0.1:8090"}
    given = "--json --date 2013-08-01 --url http://127.0.0.1:8090"
    assert compare.execute(context(run_type="manual", **form))["args"].endswith(given)
    assert compare.execute(context(run_type="manual", **FORM))["args"].endswith("--json")


def test_a_difference_is_final_and_nothing_published_is_no_failure(dag: DAG, data_plane: DataPlane) -> None:
    compare: Any = dag.get_task("compare")
    data_plane("echo 'differing rows 3' >&2; exit 10")
    with pytest.raises(AirflowFailException, match="differing rows 3"):
        compare.execute(context(**FORM))
    data_plane("""echo '{"partition": null, "rows": 0}'""")
    with pytest.raises(AirflowSkipException, match="nothing is published yet"):
        compare.execute(context(**FORM))
