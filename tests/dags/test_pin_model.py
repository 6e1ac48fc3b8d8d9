"""Which model version a DAG run takes and keeps, and where the buttons of its tasks lead."""

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from lockstep.airflow.operators import CheckOperator, ReportOperator
from tests.dags.tasks import DataPlane, Ti, context, pin, resolves


def test_pin_model_asks_for_what_the_form_says_of_the_day(data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane(resolves(3))
    found = pin().execute(context(model="as-published"))
    assert (found["name"], found["version"], found["asked"]) == ("m", 3, "as-published")
    (asked,) = (tmp_path / "var.asked").read_text().splitlines()
    assert asked.endswith("lockstep model resolve m --json --model as-published --date 2013-08-01")


def test_a_run_keeps_its_version_however_often_it_is_cleared(data_plane: DataPlane) -> None:
    data_plane(resolves(3))
    first = pin().execute(context())
    data_plane(resolves(4))  # the alias has moved
    assert pin().execute(context()) == first
    assert pin().execute(context(run_id="b/2"))["version"] == 4
    data_plane("exit 75")  # the registry is down, and not needed
    assert pin().execute(context()) == first


def test_a_run_takes_another_version_when_it_is_asked_to(data_plane: DataPlane) -> None:
    data_plane(resolves(3))
    pin().execute(context())
    data_plane(resolves(4))
    assert pin().execute(context(fresh_model=True))["version"] == 4
    assert pin().execute(context())["version"] == 4
    data_plane(resolves(2))
    assert pin().execute(context(model="2"))["version"] == 2


def test_a_pin_that_is_unreadable_is_one_error(data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane(resolves(3))
    pin().execute(context())
    (file,) = (tmp_path / "var" / "pins" / "score_m").iterdir()
    file.write_text("{")
    with pytest.raises(AirflowFailException, match="no record of a pinned model"):
        pin().execute(context())


def pages(operator: Any) -> dict[str, str]:
    """What the buttons of a task lead to, as Airflow stores it when the task ends."""
    return {link.name: link.get_link(operator, ti_key=None) for link in operator.operator_extra_links}


def test_buttons_lead_to_the_pages_of_the_run(data_plane: DataPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:1/air")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:2")
    data_plane(resolves(3))
    asked = pin()
    assert pages(asked) == {"Model version in MLflow": ""}
    asked.execute(context())
    assert pages(asked) == {"Model version in MLflow": "http://127.0.0.1:2/#/models/m/versions/3"}
    folder, root = "/var/runs/m/2013-08-01/k", "http://127.0.0.1:1/air/lockstep/dags/score_m/runs/2013-08-01/k"
    report = ReportOperator(task_id="report", arguments=["step", "report"], plan_task="plan")
    report.execute(context(Ti(plan={"run_folder": folder})))
    assert pages(report) == {"Report": f"{root}/report.html"}
    data_plane("exit 7")
    gate = CheckOperator(task_id="gate", stage="gate", run_folder=folder, options=["--strict"])
    with pytest.raises(AirflowFailException):
        gate.execute(context())
    assert gate.arguments == ["step", "gate", "--run-folder", folder, "--strict", "--json"]
    assert pages(gate) == {"Data docs": f"{root}/gx/gate/index.html"}, "also of what failed"


def test_a_registry_without_pages_has_no_button(data_plane: DataPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere.db")
    data_plane(resolves(3))
    asked = pin()
    asked.execute(context())
    assert pages(asked) == {"Model version in MLflow": ""}
    monkeypatch.setenv("LOCKSTEP_MLFLOW_URL", "https://registry/")  # where pages and registry are not one server
    asked.execute(context())
    assert pages(asked) == {"Model version in MLflow": "https://registry/#/models/m/versions/3"}
