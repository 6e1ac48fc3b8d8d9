"""What a spec with models on trial adds to its scoring DAG: tasks that are seen, and that no publication waits for."""

import json
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization
from jinja2 import Environment

from lockstep.airflow.trials import CHALLENGERS, ShadowOperator
from tests.dags.bags import parse
from tests.dags.tasks import DataPlane, Ti, context, pin

TRIAL = "\ntrial:\n  challengers:\n    - {alias: candidate}\n"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def dag(models: Path) -> DAG:
    """The scoring DAG of a spec with a challenger."""
    spec = models / "flight_delay" / "scoring.yaml"
    spec.write_text(spec.read_text() + TRIAL)
    bag = parse()
    assert bag.import_errors == {}
    return bag.dags["score_flight_delay"]


def test_no_publication_waits_for_a_trial_and_no_trial_is_a_leaf(dag: DAG) -> None:
    assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == "score_flight_delay"
    assert {task.task_id for task in dag.leaves} == {"report", "published"}
    assert dag.get_task("compare").upstream_task_ids == {"score"}
    assert dag.get_task("shadow").upstream_task_ids == {"compare", "publish"}
    assert dag.get_task("report").upstream_task_ids == {"publish", "shadow"}
    for name in ("audit", "publish", "published"):
        found = {task.task_id for task in dag.get_task(name).get_flat_relatives(upstream=True)}
        assert not found & {"compare", "shadow"}
    assert dag.get_task("shadow").trigger_rule == "none_failed"
    assert dag.get_task("shadow").pool == dag.get_task("publish").pool
    assert dag.get_task("plan").skip_when_live == ["materialize", "gate", "score", "audit", "compare"]


def test_challengers_are_chosen_once_with_the_champion(dag: DAG, data_plane: DataPlane) -> None:
    assert "--challengers" in dag.get_task("pin_model").arguments
    assert dag.get_task("plan").arguments[-3:] == ["--challengers", CHALLENGERS, "--json"]
    facts = {"name": "m", "version": 3, "digest": "d", "challengers": {"candidate": 4, "gone": None}}
    data_plane(f"echo '{json.dumps(facts)}'")
    found = pin().execute(context())
    data_plane("exit 75")
    assert pin().execute(context()) == found, "a cleared task keeps them"
    for xcom, expected in ((found, {"candidate": 4, "gone": None}), ({"version": 3}, {})):
        text = Environment().from_string(CHALLENGERS).render(ti=Ti(pin_model=xcom))
        assert json.loads(text) == expected


def test_a_dry_run_publishes_no_shadow(data_plane: DataPlane) -> None:
    data_plane("""echo '{"rows": 7}'""")
    shadow = ShadowOperator(task_id="shadow", arguments=["step", "shadow"])
    assert shadow.execute(context()) == {"rows": 7}
    with pytest.raises(AirflowSkipException, match="nothing is published"):
        shadow.execute(context(dry_run=True))
