"""A backfill through Airflow's REST API: create it, watch it, explain it when it fails."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from lockstep.services.airflow_api import CONFLICT, AirflowApi
from lockstep.services.errors import AirflowRefused, BackfillFailed
from lockstep.specs.spec import ScoringSpec

POLL_S = 2.0
PARSE_TIMEOUT_S = 90.0
LOG_LINES = 25
FINISHED = {"success", "failed"}
NOT_FOUND = 404


@dataclass(frozen=True)
class Days:
    """First and last day of a backfill, both scored."""

    first: dt.date
    last: dt.date

    @property
    def count(self) -> int:
        """How many there are."""
        return (self.last - self.first).days + 1

    def bounds(self, zone: ZoneInfo) -> tuple[str, str]:
        """Return the moments between which Airflow looks for data intervals that begin."""
        begin = dt.datetime.combine(self.first, dt.time.min, tzinfo=zone)
        end = dt.datetime.combine(self.last, dt.time.max, tzinfo=zone)
        return begin.isoformat(), end.isoformat()


@dataclass(frozen=True)
class Backfill:
    """The backfill of some days of one spec.

    Attributes:
        api: Client of a running Airflow.
        spec: Which spec.
        days: Which days.
        check: Called in every wait; raises when the services died or a stop was asked for.
    """

    api: AirflowApi
    spec: ScoringSpec
    days: Days
    check: Callable[[], None]

    @property
    def dag_id(self) -> str:
        """The DAG of the spec."""
        return f"score_{self.spec.name}"

    def run(self, *, show: Callable[[str], None], max_active_runs: int) -> dict[str, str]:
        """Run all days again, whether or not they ran before; return day to run id.

        Raises:
            BackfillFailed: A day failed, or Airflow does not know the DAG.
        """
        self._wait_for_dag()
        was_paused = bool(self.api.call("GET", f"/dags/{self.dag_id}")["is_paused"])
        self._pause(paused=False)
        try:
            self._create(max_active_runs)
            return self._watch(show)
        finally:
            # A DAG that nobody unpaused shall not begin to run every night because of a demo.
            if was_paused:
                self._pause(paused=True)

    def _pause(self, *, paused: bool) -> None:
        self.api.call("PATCH", f"/dags/{self.dag_id}", {"is_paused": paused})

    def _wait_for_dag(self) -> None:
        deadline = time.monotonic() + PARSE_TIMEOUT_S
        while True:
            self.check()
            try:
                self.api.call("GET", f"/dags/{self.dag_id}")
            except AirflowRefused as error:
                if error.status != NOT_FOUND:
                    raise
            else:
                return
            if time.monotonic() > deadline:
                errors = self.api.call("GET", "/importErrors")["import_errors"]
                tail = [line for item in errors for line in item["stack_trace"].splitlines()]
                raise BackfillFailed(self.dag_id, problem="Airflow did not find the DAG", tail=tail[-LOG_LINES:])
            time.sleep(POLL_S)

    def _create(self, max_active_runs: int) -> None:
        """Create the backfill; one that an interrupted demo left unfinished goes on instead."""
        first, last = self.days.bounds(ZoneInfo(self.spec.schedule.timezone))
        active = self.api.call("GET", "/backfills", dag_id=self.dag_id)["backfills"]
        states = {run["state"] for run in self._runs().values()}
        for backfill in [b for b in active if b["completed_at"] is None]:
            if states - FINISHED and "failed" not in states:
                return
            # Queued days of a cancelled backfill become failed ones, which the new one takes up.
            self.api.call("PUT", f"/backfills/{backfill['id']}/cancel")
        request = {
            "dag_id": self.dag_id,
            "from_date": first,
            "to_date": last,
            "run_backwards": False,
            "reprocess_behavior": "completed",
            "max_active_runs": max_active_runs,
            "dag_run_conf": {},
        }
        try:
            self.api.call("POST", "/backfills", request)
        except AirflowRefused as error:
            if error.status != CONFLICT:
                raise
            problem = "another backfill of this DAG is still active; cancel it in Airflow"
            raise BackfillFailed(self.dag_id, problem=problem, tail=[]) from error

    def _runs(self) -> dict[str, dict[str, Any]]:
        """Return the DAG runs of our days, by day."""
        first, last = self.days.bounds(ZoneInfo(self.spec.schedule.timezone))
        path = f"/dags/{self.dag_id}/dagRuns"
        runs = self.api.call("GET", path, logical_date_gte=first, logical_date_lte=last, limit=100)["dag_runs"]
        zone = ZoneInfo(self.spec.schedule.timezone)
        return {dt.datetime.fromisoformat(r["logical_date"]).astimezone(zone).date().isoformat(): r for r in runs}

    def _watch(self, show: Callable[[str], None]) -> dict[str, str]:
        while True:
            self.check()
            runs = self._runs()
            for day, run in sorted(runs.items()):
                if run["state"] == "failed":
                    self._explain(day, run["dag_run_id"])
            done = sum(run["state"] == "success" for run in runs.values())
            if done == self.days.count:
                return {day: run["dag_run_id"] for day, run in sorted(runs.items())}
            show(self._progress(runs, done))
            time.sleep(POLL_S)

    def _progress(self, runs: dict[str, dict[str, Any]], done: int) -> str:
        parts = []
        tasks_of = self._tasks_by_run()
        for day, run in sorted(runs.items()):
            if run["state"] == "running":
                tasks = tasks_of.get(run["dag_run_id"], [])
                states = Counter(task["state"] for task in tasks)
                now = [t["task_id"] for t in tasks if t["state"] in ("running", "up_for_retry")]
                ended = states["success"] + states["skipped"]
                parts.append(f"{day[5:]} {ended}/{len(tasks)} {'+'.join(now) or 'waiting'}")
        return f"{done}/{self.days.count} days done; " + ("; ".join(parts) or "queued")

    def _tasks_by_run(self) -> dict[str, list[dict[str, Any]]]:
        """Return the tasks of our days in one request."""
        first, last = self.days.bounds(ZoneInfo(self.spec.schedule.timezone))
        path = f"/dags/{self.dag_id}/dagRuns/~/taskInstances"
        found = self.api.call("GET", path, logical_date_gte=first, logical_date_lte=last, limit=1000)
        tasks: dict[str, list[dict[str, Any]]] = {}
        for task in found["task_instances"]:
            tasks.setdefault(task["dag_run_id"], []).append(task)
        return tasks

    def _explain(self, day: str, run_id: str) -> None:
        """Raise with the end of the failed task's log."""
        failed = [task for task in self._tasks_by_run().get(run_id, []) if task["state"] == "failed"]
        tail = []
        for task in failed[:1]:
            tail = self.api.task_log(
                self.dag_id, run_id, task["task_id"], try_number=task["try_number"], lines=LOG_LINES
            )
        names = ", ".join(task["task_id"] for task in failed) or "no task"
        raise BackfillFailed(self.dag_id, problem=f"day {day}, task {names}; the end of its log:", tail=tail)
