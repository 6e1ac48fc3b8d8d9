"""The steps of a DAG, drawn as text."""

from pathlib import Path

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from lockstep.airflow.picture import drawn
from tests.dags.bags import parse

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_page_of_a_dag_shows_its_steps_as_they_are(models: Path) -> None:
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(file.read_text().replace("schedule:\n", "schedule:\n  assets: [lake://flights]\n"))
    dags = parse().dags
    page = dags["score_flight_delay"].doc_md or ""
    chain = "pin_model ─► plan ─► materialize ─► gate ─► score ─► audit ─► publish"
    first, second = f"{chain} ─┬► report", f"{' ' * len(chain)}  └► published"
    assert f"\n{first}\n{second}\n" in page
    assert "\nfurther_days ─► score_further_day\n" in page
    for dag in dags.values():
        for task in dag.tasks:
            assert f"| `{task.task_id}` | {' '.join((task.doc_md or '').split())} |" in (dag.doc_md or "")


def test_forks_and_joins() -> None:
    with DAG("picture") as dag:
        a, b, c, d, e = (EmptyOperator(task_id=name) for name in ("a", "b", "c", "d", "end"))
        a >> [b, c, d]
        b >> e
        c >> e
    assert list(drawn(dag.topological_sort())) == [
        "a ─┬► b ─► end",
        "   ├► c ─► (end)",
        "   └► d",
    ]
