"""Who is told of what, once: callbacks as Airflow calls them, a real web server as the receiver."""

import datetime as dt
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.serialization.serialized_objects import DagSerialization

from lockstep.airflow.alerts import alert_callbacks, event_of, reason_of
from lockstep.airflow.step import StepOperator, Told, failure
from lockstep.run.pins import Pin, write_pin
from lockstep.specs.loading import load_spec
from lockstep.specs.spec import ScoringSpec
from tests.dags.bags import parse
from tests.dags.receivers import Web, web
from tests.dags.tasks import DataPlane, Ti, context

ALERTS = """
alerts:
  - {to: webhook, env: OPS_URL}
  - {on: [drift_warning, refused], to: slack, env: ML_URL}
"""
REFUSAL = {"error": "CheckFailed", "message": "gate of partition 2013-08-01 failed:\n  age: got 3 nulls, expected none"}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with web() as server:
        monkeypatch.setenv("OPS_URL", server.url("/ops"))
        monkeypatch.setenv("ML_URL", server.url("/ml"))
        yield server


@pytest.fixture
def spec(models: Path) -> ScoringSpec:
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(file.read_text() + ALERTS)
    return load_spec(file).spec


def known(tmp_path: Path) -> Path:
    """Write what a run has that got as far as its audit; return its folder."""
    folder = tmp_path / "var" / "runs" / "flight_delay" / "2013-08-01" / "k1"
    folder.mkdir(parents=True, exist_ok=True)
    pin = {"asked": "@champion", "name": "flight_delay", "version": 17, "digest": "d"}
    write_pin(tmp_path / "var", Pin(dag_id="score_m", run_id="b/1", pinned_at=dt.datetime.now(dt.UTC), **pin))
    return folder


def of_task(task_id: str, folder: Path, error: BaseException | None = None, *, state: str = "running") -> Any:
    ti = Ti(plan={"run_folder": str(folder)})
    ti.dag_id, ti.run_id, ti.task_id = "score_m", "b/1", task_id
    ti.get_task_states = lambda **_: {"b/1": {task_id: state}}
    task = StepOperator(task_id=task_id, arguments=["step", task_id, "--run-folder", str(folder)])
    return {**context(ti), "dag": DAG("score_m"), "task": task, "exception": error}


def call_back(spec: ScoringSpec, outcome: str, where: Any) -> None:
    for callback in alert_callbacks(spec)[f"on_{outcome}_callback"]:
        callback(where)


def test_a_refusal_is_told_once_with_its_figures_and_links(spec: ScoringSpec, receiver: Web, tmp_path: Path) -> None:
    folder = known(tmp_path)
    (folder / "gate.json").write_text("{}")
    for _ in range(2):  # the second time is that of a run that somebody cleared
        call_back(spec, "failure", of_task("gate", folder, failure("lockstep step", 7, said=REFUSAL)))
    assert sorted(path for path, _, _ in receiver.got) == ["/ml", "/ops"]
    told = next(body for path, _, body in receiver.got if path == "/ops")
    assert told["event"] == "refused"
    assert told["title"] == "flight_delay 2013-08-01 was refused: nothing was published"
    assert told["reason"] == REFUSAL["message"]
    facts = {"Spec": "flight_delay", "Model": f"{spec.model.name}, version 17", "Partition": "2013-08-01"}
    assert told["facts"] == {**facts, "DAG run": "b/1", "Task": "gate"}
    assert list(told["links"]) == ["DAG run", "Report", "Data docs of gate"]
    assert told["links"]["DAG run"].endswith("/dags/score_m/runs/b%2F1")
    assert told["links"]["Report"].endswith("/lockstep/dags/score_m/runs/2013-08-01/k1/report.html")


def test_a_task_that_succeeded_in_between_fails_anew(spec: ScoringSpec, receiver: Web, tmp_path: Path) -> None:
    folder = known(tmp_path)
    for outcome in ("failure", "success", "failure"):
        error = failure("lockstep step publish", 75) if outcome == "failure" else None
        call_back(spec, outcome, of_task("publish", folder, error))
    assert [path for path, _, _ in receiver.got] == ["/ops", "/ops"]


def test_what_somebody_stopped_is_no_news_to_them(spec: ScoringSpec, receiver: Web, tmp_path: Path) -> None:
    folder = known(tmp_path)
    for state in ("success", "failed", "restarting", None):
        where = of_task("score", folder, failure("Spark job score", -15), state=state)
        where["task"].stopped = True
        call_back(spec, "failure", where)
    assert receiver.got == []
    for state, error in (("running", failure("Spark job score", -15)), ("failed", AirflowTaskTimeout("Timeout"))):
        where = of_task("score" if state == "running" else "gate", folder, error, state=state)
        where["task"].stopped = True
        call_back(spec, "failure", where)
    assert [body["facts"]["Task"] for _, _, body in receiver.got] == ["score", "gate"]


def test_a_run_without_a_plan_is_told_by_its_day(spec: ScoringSpec, receiver: Web) -> None:
    where = of_task("pin_model", Path("not/planned"), failure("lockstep model", 5, said={"error": "ModelNotFound"}))
    where["ti"].xcoms.clear()
    call_back(spec, "failure", where)
    ((_, _, told),) = receiver.got
    assert told["title"] == "flight_delay 2013-08-01 failed"
    assert list(told["links"]) == ["DAG run"]
    assert "version not chosen yet" in told["facts"]["Model"]


def test_drift_that_only_warns_is_told_to_who_asked(spec: ScoringSpec, receiver: Web, tmp_path: Path) -> None:
    folder = known(tmp_path)
    check = {"kind": "limit", "severity": "warning", "success": False, "observed": "PSI 0.3", "expected": "at most 0.2"}
    drift = {**check, "name": "drift.training.psi", "target": "distance"}
    other = {**check, "name": "expect_column_mean_to_be_between", "target": "score"}
    verdict = {"stage": "audit", "run_key": "k1", "passed": True, "rows": 7, "checked_at": "2013-08-02T06:00:00Z"}
    verdict["results"] = [drift, other]
    (folder / "audit.json").write_text(json.dumps(verdict))
    for task in ("gate", "audit", "audit"):
        call_back(spec, "success", of_task(task, folder))
    ((path, _, told),) = receiver.got
    assert path == "/ml"
    assert "drift.training.psi on distance: got PSI 0.3, expected at most 0.2" in told["text"]
    assert "expect_column_mean" not in told["text"]


def test_an_aborted_canary_is_told_once(spec: ScoringSpec, receiver: Web, tmp_path: Path) -> None:
    where = of_task("canary", known(tmp_path))
    for outcome in ("active", "aborted", "aborted"):
        where["task"].result = {"outcome": outcome, "reasons": ["min_agreement: 0.31, at least 0.8"]}
        call_back(spec, "success", where)
    ((_, _, told),) = receiver.got
    assert (told["event"], told["reason"]) == ("canary_aborted", "min_agreement: 0.31, at least 0.8")


def test_a_callback_that_breaks_does_not_break_the_task(
    spec: ScoringSpec, receiver: Web, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        call_back(spec, "failure", {"task": None, "ti": None})
    assert receiver.got == []


@pytest.mark.parametrize(
    ("told", "event"),
    [
        (None, "failed"),
        (Told(75, "WarehouseLocked", ""), "failed"),
        (Told(1), "failed"),
        (Told(5, "ModelNotFound", ""), "failed"),
        (Told(7, "TooManyBadRows", ""), "refused"),
        (Told(8, "StaleRun", ""), "refused"),
    ],
)
def test_errors_have_events(told: Told | None, event: str) -> None:
    assert event_of(told) == event


def test_reasons_are_short_and_no_stack_trace() -> None:
    assert "killed" in reason_of(None)
    assert "time limit" in reason_of(AirflowTaskTimeout("Timeout, PID: 7"))
    assert reason_of(AirflowFailException("say which day")) == "say which day"
    long = failure("x", 7, said={"error": "CheckFailed", "message": "\n".join(f"line {n}" for n in range(99))})
    assert reason_of(long).splitlines()[-1] == "... and 87 more lines"
    assert len(reason_of(AirflowException("x" * 9999))) < 1600


def test_what_a_step_says_of_its_error_is_what_people_are_told(data_plane: DataPlane) -> None:
    data_plane(f"echo '{json.dumps(REFUSAL).replace(chr(39), '')}'; echo 'lockstep: error: ...' >&2; exit 7")
    with pytest.raises(AirflowFailException) as caught:
        StepOperator(task_id="gate", arguments=["step", "gate"]).execute(context())
    assert reason_of(caught.value) == REFUSAL["message"]
    assert event_of(caught.value.told) == "refused"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_only_a_spec_with_alerts_has_callbacks(models: Path, spec: ScoringSpec) -> None:
    assert alert_callbacks(spec.model_copy(update={"alerts": ()})) == {}
    bag = parse()
    assert bag.import_errors == {}
    dag = bag.dags["score_flight_delay"]
    assert all(task.on_failure_callback and task.on_success_callback for task in dag.tasks)
    stored = json.dumps(DagSerialization.to_dict(dag))
    assert "OPS_URL" not in stored
