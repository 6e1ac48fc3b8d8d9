"""Which run a task works at, from what callbacks know of it: for alerts and metrics."""

import contextlib
import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.sdk.configuration import conf

from lockstep.airflow.links import page_of_run
from lockstep.errors import LockstepError
from lockstep.run.folder import AUDIT, GATE
from lockstep.run.pins import read_pin
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location, location

PLAN_TASK = "plan"


@dataclass(frozen=True)
class RunFacts:
    """Who a DAG run is.

    Attributes:
        model_version: None while it is not chosen.
        partition: None while the run is not planned.
        run_folder: None while the run is not planned.
    """

    dag_id: str
    run_id: str
    task_id: str
    spec: str
    model: str
    model_version: int | None = None
    partition: dt.date | None = None
    run_folder: Location | None = None

    def texts(self) -> dict[str, str]:
        """Return it for people."""
        version = f"version {self.model_version}" if self.model_version is not None else "version not chosen yet"
        facts = {"Spec": self.spec, "Model": f"{self.model}, {version}"}
        if self.partition is not None:
            facts["Partition"] = self.partition.isoformat()
        return {**facts, "DAG run": self.run_id}

    def links(self) -> dict[str, str]:
        """Return where people read more."""
        found = {"DAG run": page_of_dag_run(self.dag_id, self.run_id)}
        if self.run_folder is None:
            return found
        pages = {"Report": "report.html"}
        pages |= {f"Data docs of {s}": f"gx/{s}/index.html" for s, file in _DOCS.items() if self._has(file)}
        return found | {name: page_of_run(self.dag_id, str(self.run_folder), page) for name, page in pages.items()}

    def _has(self, file: str) -> bool:
        return self.run_folder is not None and (self.run_folder / file).is_file()


_DOCS = {"gate": GATE, "audit": AUDIT}


def facts_of_run(spec: ScoringSpec, context: Mapping[str, Any]) -> RunFacts:
    """Return what is known of a task's run; what cannot be had is left out."""
    ti, task = context["ti"], context["task"]
    dag_id, run_id = ti.dag_id, ti.run_id
    version: int | None = None
    with contextlib.suppress(LockstepError):
        pin = read_pin(Settings.from_env(os.environ).home, dag_id, run_id)
        version = pin.version if pin else None
    folder = folder_of_run(task, ti)
    partition = _partition(spec, folder, context)
    return RunFacts(dag_id, run_id, task.task_id, spec.name, spec.model.name, version, partition, folder)


def _partition(spec: ScoringSpec, folder: Location | None, context: Mapping[str, Any]) -> dt.date | None:
    from lockstep.airflow.operators import asked_partition  # which imports this module's users

    try:
        return dt.date.fromisoformat(folder.parent.name) if folder else asked_partition(spec.schedule, context)
    except Exception:  # noqa: BLE001 - a run of no day, which may be why it failed
        return None


def folder_of_run(task: Any, ti: Any) -> Location | None:
    """Return the run folder: from the task's own command, else as `plan` told; None before there is one."""
    if (folder := folder_of_command(task)) is not None:
        return folder
    try:
        plan = ti.xcom_pull(task_ids=PLAN_TASK)
    except Exception:  # noqa: BLE001 - callbacks of killed tasks may not reach Airflow's server
        return None
    return _named_in(plan)


def folder_of_command(task: Any) -> Location | None:
    """Return the run folder that a task's command names, or has made; None if there is none."""
    commands = (getattr(task, name, None) or () for name in ("ran", "arguments", "application_args"))
    for words in (list(map(str, command)) for command in commands):
        if "--run-folder" in words[:-1]:
            folder = words[words.index("--run-folder") + 1]
            if folder.startswith("/") or "://" in folder:  # else a template that was not rendered
                return location(folder)
    return _named_in(getattr(task, "result", None))


def _named_in(summary: Any) -> Location | None:
    named = summary.get("run_folder") if isinstance(summary, Mapping) else None
    return location(str(named)) if named else None


def page_of_dag_run(dag_id: str, run_id: str) -> str:
    """Return the address of a DAG run in Airflow's pages."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
