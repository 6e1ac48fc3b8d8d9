"""`lockstep up` as an operator has it, and what an operator does with its Airflow, through its REST API."""

import datetime as dt
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from lockstep.services.airflow_api import AirflowApi
from lockstep.services.errors import AirflowRefused
from tests.operations.installation import Installation

START_S, STOP_S, DAY_S = 240.0, 40.0, 1200.0
UP = "Lockstep is up"
ENDED = {"success", "failed"}
FoundT = TypeVar("FoundT")


def until(find: Callable[[], FoundT], *, within_s: float, what: str) -> FoundT:
    """Ask again and again until the answer is true; return it."""
    deadline = time.monotonic() + within_s
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.3)
    return found


@dataclass
class Stack:
    """A `lockstep up` that can be killed in parts, and its Airflow."""

    installation: Installation
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> str:
        """What it has written since the last start."""
        return (self.installation.root / "up.log").read_text(encoding="utf-8", errors="replace")

    @property
    def api(self) -> AirflowApi:
        """A client with a login of its own: a token may be of a server that is gone."""
        passwords = self.installation.home / "airflow" / "passwords.json"
        return AirflowApi(
            int(self.installation.env["LOCKSTEP_AIRFLOW_PORT"]), json.loads(passwords.read_text())["admin"]
        )

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        with (self.installation.root / "up.log").open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lockstep", "up", "--serve", ""],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self.installation.env,
                cwd=self.installation.home,
                start_new_session=True,
            )
        until(lambda: UP in self.log or self.ended() is not None, within_s=START_S, what=UP)
        assert self.ended() is None, self.log[-3000:]

    def ended(self) -> int | None:
        """Return its exit code, if it has ended."""
        return None if self.process is None else self.process.poll()

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=STOP_S)

    def pid_of(self, service: str) -> int:
        """Return the process id of one of its services."""
        return int(re.findall(rf"started {service} \(process (\d+)\)", self.log)[-1])

    def open(self, spec: str) -> str:
        """Wait until Airflow knows a spec, and unpause its DAG; return the DAG's id."""
        dag_id = f"score_{spec}"
        until(lambda: self._knows(dag_id), within_s=120, what=f"{dag_id} in Airflow")
        self.api.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        return dag_id

    def _knows(self, dag_id: str) -> bool:
        try:
            return bool(self.api.call("GET", f"/dags/{dag_id}"))
        except AirflowRefused:
            return False

    def backfill(self, spec: str, first: str, last: str, *, at_once: int = 2, **conf: Any) -> int:
        """Score days again, whether or not they ran before; return the backfill's id."""
        request = {
            "dag_id": self.open(spec),
            "from_date": f"{first}T00:00:00+00:00",
            "to_date": f"{last}T23:59:59+00:00",
            "run_backwards": False,
            "reprocess_behavior": "completed",
            "max_active_runs": at_once,
            "dag_run_conf": conf,
        }
        return int(self.api.call("POST", "/backfills", request)["id"])

    def trigger(self, spec: str, day: str, **conf: Any) -> str:
        """Score one day; return the run's id."""
        moment = dt.datetime.now(dt.UTC)
        run_id = f"by_hand_{day}_{moment:%H%M%S%f}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {"date": day, **conf}}
        self.api.call("POST", f"/dags/{self.open(spec)}/dagRuns", body)
        return run_id

    def runs(self, spec: str) -> list[dict[str, Any]]:
        """Return all runs of a spec, in the order of their days."""
        found = self.api.call("GET", f"/dags/score_{spec}/dagRuns", limit=100)["dag_runs"]
        return sorted(found, key=lambda run: (run["logical_date"] or "", run["dag_run_id"]))

    def tasks(self, spec: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the tasks of a run, by id."""
        path = f"/dags/score_{spec}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return {task["task_id"]: task for task in self.api.call("GET", path, limit=100)["task_instances"]}

    def wait_for_task(
        self, spec: str, run_id: str, task: str, states: Collection[str], *, within_s: float = DAY_S
    ) -> Any:
        """Wait until a task is in one of some states; return it."""

        def there() -> Any:
            found = self.tasks(spec, run_id).get(task)
            return found if found and found["state"] in states else None

        return until(there, within_s=within_s, what=f"{task} of {run_id} {'/'.join(states)}")

    def wait_for_runs(self, spec: str, count: int, *, within_s: float = DAY_S) -> list[dict[str, Any]]:
        """Wait until so many runs of a spec have ended; return them."""

        def ended() -> list[dict[str, Any]]:
            found = self.runs(spec)
            return found if len(found) == count and {run["state"] for run in found} <= ENDED else []

        return until(ended, within_s=within_s, what=f"{count} ended runs of {spec}: {self.states(spec)}")

    def states(self, spec: str) -> dict[str, str]:
        """Return the state of each run, by id."""
        return {run["dag_run_id"]: run["state"] for run in self.runs(spec)}

    def wait_for_backfill(self, backfill: int, *, within_s: float = 120.0) -> None:
        """Wait until Airflow calls a backfill complete, which it looks for twice a minute."""
        path = f"/backfills/{backfill}"
        until(lambda: self.api.call("GET", path)["completed_at"], within_s=within_s, what="completed backfill")

    def set_state(self, spec: str, run_id: str, task: str, state: str) -> None:
        """Mark a task, as the button does."""
        path = f"/dags/score_{spec}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task}"
        self.api.call("PATCH", path, {"new_state": state})

    def clear(self, spec: str, run_id: str, task: str) -> None:
        """Clear a task and what follows it, as the button does."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.api.call("POST", f"/dags/score_{spec}/clearTaskInstances", body)
