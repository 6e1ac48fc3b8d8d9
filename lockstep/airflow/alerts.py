"""Alerts of scoring runs: the spec's `alerts`, as callbacks of Airflow's.

Airflow calls back for more than incidents: a task that somebody clears or marks while it runs ends as failed too.
Here an incident is told once (`lockstep.run.incidents`), in the words of the error, and nothing that goes wrong on
the way to people reaches the run.
"""

import datetime as dt
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from airflow.sdk import BaseNotifier, Context
from airflow.sdk.exceptions import AirflowTaskTimeout

from lockstep.airflow.channels import Message, send
from lockstep.airflow.facts import RunFacts, facts_of_run, page_of_dag_run
from lockstep.airflow.step import Told, task_settings
from lockstep.run.exit_codes import EXIT_CODES
from lockstep.run.incidents import Incident, forget_task, tell_once
from lockstep.run.verdicts import seen_verdict
from lockstep.specs.alerts_spec import Alert, Event
from lockstep.specs.loading import find_spec
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec

log = logging.getLogger("lockstep.alerts")

REASON_LINES, REASON_CHARACTERS = 12, 1500
REFUSING_EXIT_CODES = {code for kind, code in EXIT_CODES if kind.__name__ in ("CheckFailed", "PublishError")}
TITLES: Mapping[str, str] = {
    "failed": "failed",
    "refused": "was refused: nothing was published",
    "deadline": "is late",
    "canary_aborted": "stopped its canary",
    "drift_warning": "drifts",
}


def alert_callbacks(spec: ScoringSpec) -> dict[str, Any]:
    """Return the callbacks of every task of a spec's scoring DAG, for its `default_args`; none without `alerts`."""
    if not spec.alerts:
        return {}
    return {
        "on_failure_callback": [TaskAlert(spec=spec, outcome="failure")],
        "on_success_callback": [TaskAlert(spec=spec, outcome="success")],
    }


class TaskAlert(BaseNotifier):
    """Tells of what became of a task.

    Args:
        spec: With `alerts`.
        outcome: What Airflow calls back for.
    """

    def __init__(
        self, *, spec: ScoringSpec, outcome: Literal["failure", "success"], context: Context | None = None
    ) -> None:
        super().__init__(context)
        self.spec = spec
        self.outcome = outcome

    def notify(self, context: Context) -> None:
        """Tell whom the spec names. Raises nothing."""
        try:
            if self.outcome == "failure":
                _on_failure(self.spec, context)
            else:
                _on_success(self.spec, context)
        except Exception:
            self.log.exception("an alert was not sent")


def tell_of_deadline(reason: str, *, spec: str, context: Mapping[str, Any], models_root: str = "") -> None:
    """Tell that a run is not done by its deadline.

    Args:
        reason: In words.
        spec: Name of the spec.
        context: `dag_run`, as Airflow gives it to callbacks of deadlines.
        models_root: Folder of the specs; empty: that of the settings.
    """
    settings, run = task_settings(models_root), context["dag_run"]
    incident = Incident(dag_id=str(run["dag_id"]), run_id=str(run["dag_run_id"]), event="deadline")
    loaded = find_spec(settings.models_root, spec).spec
    facts = {"Spec": spec, "Model": loaded.model.name, "DAG run": incident.run_id}
    links = {"DAG run": page_of_dag_run(incident.dag_id, incident.run_id)}
    message = Message("deadline", _title("deadline", spec), reason, facts, links)
    _tell(loaded.alerts, message, incident=incident, home=settings.home)


def _on_failure(spec: ScoringSpec, context: Context) -> None:
    if _somebody_stopped_it(context):
        log.info("somebody stopped this task, and knows: nobody is told")
        return
    run, error = facts_of_run(spec, context), context.get("exception")
    told = getattr(error, "told", None)
    event = event_of(told)
    facts = {**run.texts(), "Task": run.task_id}
    title = _title(event, spec.name, run.partition)
    message = Message(event, title, reason_of(error), facts, run.links())
    _tell(spec.alerts, message, incident=_incident(run, event), home=Settings.from_env(os.environ).home)


def _on_success(spec: ScoringSpec, context: Context) -> None:
    run, home = facts_of_run(spec, context), Settings.from_env(os.environ).home
    forget_task(home, run.dag_id, run.run_id, task=run.task_id)
    result = getattr(context["task"], "result", None)
    if run.task_id == "canary" and isinstance(result, Mapping) and result.get("outcome") == "aborted":
        reason, title = _shortened("\n".join(result["reasons"])), _title("canary_aborted", spec.name, run.partition)
        message = Message("canary_aborted", title, reason, run.texts(), run.links())
        _tell(spec.alerts, message, incident=_incident(run, "canary_aborted", task=""), home=home)
    verdict = seen_verdict(run.run_folder, "audit") if run.task_id == "audit" and run.run_folder else None
    drifts = [check for check in verdict.failed("warning") if check.is_drift] if verdict else []
    if drifts:
        reason = _shortened("\n".join(check.line() for check in drifts))
        title = _title("drift_warning", spec.name, run.partition)
        message = Message("drift_warning", title, reason, run.texts(), run.links())
        # Not of the task, which succeeded: a run that is scored again with the same drift is no news.
        _tell(spec.alerts, message, incident=_incident(run, "drift_warning", task=""), home=home)


def _tell(alerts: tuple[Alert, ...], message: Message, *, incident: Incident, home: Path) -> None:
    wanted = {alert.label: alert for alert in alerts if message.event in alert.on}
    tell_once(home, incident, list(wanted), tell=lambda label: send(wanted[label], message))


def _incident(run: RunFacts, event: Event, *, task: str | None = None) -> Incident:
    where = run.task_id if task is None else task
    return Incident(dag_id=run.dag_id, run_id=run.run_id, event=event, task=where)


def event_of(told: Told | None) -> Event:
    """Return what an error is called in `alerts.on`."""
    if told is None:
        return "failed"
    return "refused" if told.exit_code in REFUSING_EXIT_CODES else "failed"


def reason_of(error: object) -> str:
    """Return what an error says, without what only a developer reads."""
    told = getattr(error, "told", None)
    if told is not None and told.message:
        return _shortened(told.message)
    if isinstance(error, AirflowTaskTimeout):
        return "It ran past its time limit and was stopped."
    if error is None:
        return "It ended without a word: its process was killed, or its machine stopped."
    return _shortened(str(error)) or type(error).__name__


def _shortened(text: str) -> str:
    lines = text.strip().splitlines()
    more = [f"... and {len(lines) - REASON_LINES} more lines"] if len(lines) > REASON_LINES else []
    short = "\n".join([*lines[:REASON_LINES], *more])
    return short if len(short) <= REASON_CHARACTERS else f"{short[:REASON_CHARACTERS]} ..."


def _title(event: Event, spec: str, partition: dt.date | None = None) -> str:
    return f"{spec}{f' {partition}' if partition else ''} {TITLES[event]}"


def _somebody_stopped_it(context: Context) -> bool:
    """Whether a person cleared or marked the running task, who therefore knows.

    Then Airflow stopped it, and its state is no longer that of a task that runs. Where the state cannot be asked for,
    an alert too many is the lesser evil.
    """
    task, ti = context["task"], context["ti"]
    if not getattr(task, "stopped", False) or isinstance(context.get("exception"), AirflowTaskTimeout):
        return False
    try:
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])
    except Exception:  # noqa: BLE001 - see above
        return False
    state = states.get(ti.run_id, {}).get(ti.task_id, "running")
    return str(getattr(state, "value", state)) != "running"
