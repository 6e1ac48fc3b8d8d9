"""A backfill of many days through a real scheduler: what is published, what is refused, and where the time goes.

    .venv/data/bin/python -m benchmarks.backfill --days 30

PostgreSQL, MLflow and Airflow are started as `lockstep up` starts them, in a folder of their own. The days are small
(400 rows), so that what is left is the control plane. One of them has bad data, which the gate refuses. Exit code 1
unless all other days are published once and whole, that one is refused with its reason in the note of its run and in
the ledger, and the same backfill once more changes nothing.
"""

import argparse
import datetime as dt
import json
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from benchmarks.job import ROOT
from benchmarks.machine import describe
from benchmarks.overhead import CAUSES, CHAIN, Task, causes_of, mean
from lockstep.run.folder import RunFolder
from tests.integration.world import ROWS, World, customers, write_day
from tests.operations.installation import Installation, install
from tests.operations.stack import Stack

FIRST = dt.date(2024, 1, 1)
SPEC = "backfill"
RESULTS = ROOT / "benchmarks" / "results" / "airflow"
COMMAND = re.compile(r"running \S+ -m lockstep |Spark-Submit cmd")
DAY_S = 300.0


def main() -> int:
    """Measure, check and print."""
    parser = argparse.ArgumentParser(description="A backfill through a real scheduler.")
    parser.add_argument("--days", type=int, default=30, help="days, one of them bad")
    parser.add_argument("--at-once", type=int, default=4, help="most DAG runs at once")
    parser.add_argument("--folder", type=Path, help="where all state goes, kept; default: a temporary one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-backfill-") as scratch:
        root = asked.folder or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        installation = install(root.absolute())
        measured = measure(installation, days=asked.days, at_once=asked.at_once)
    RESULTS.mkdir(parents=True, exist_ok=True)
    note = measured.note.replace(f"{installation.home}/", "")
    facts = {**vars(measured), "note": note, "at_once": asked.at_once, "machine": describe(os.cpu_count() or 1)}
    result = RESULTS / f"backfill_{asked.at_once}_at_once.json"
    result.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    show(measured)
    return 1 if measured.problems else 0


@dataclass(frozen=True)
class Measured:
    """What became of a backfill.

    Attributes:
        days: How many were asked for.
        published, refused: How many were.
        wall_s: From the request until Airflow had ended the last run.
        causes_s: Mean seconds of a published run, by cause.
        note: Of the refused run.
        problems: What is not as it should be.
    """

    days: int
    published: int
    refused: int
    wall_s: float
    causes_s: dict[str, float]
    note: str
    problems: tuple[str, ...]


def measure(installation: Installation, *, days: int, at_once: int) -> Measured:
    """Run the backfill in a stack of its own."""
    world, bad = World(installation.home), FIRST + dt.timedelta(days=days // 2)
    for number in range(days):
        day = FIRST + dt.timedelta(days=number)
        table = customers(day)
        if day == bad:  # nobody's age is known; the gate asks for half of them
            table = table.set_column(2, "age", pa.nulls(ROWS, pa.float64()))
        write_day(world, day, table)
    installation.add_spec(SPEC)
    stack = Stack(installation)
    try:
        installation.registry.start()
        installation.warehouse.start()
        stack.start()
        return _backfill(stack, days=days, at_once=at_once, bad=bad)
    finally:
        stack.stop()
        installation.registry.stop()
        installation.warehouse.stop()


def _backfill(stack: Stack, *, days: int, at_once: int, bad: dt.date) -> Measured:
    first, last = FIRST.isoformat(), (FIRST + dt.timedelta(days=days - 1)).isoformat()
    stack.open(SPEC)
    began = time.monotonic()
    backfill = stack.backfill(SPEC, first, last, at_once=at_once)
    runs = stack.wait_for_runs(SPEC, days, within_s=days * DAY_S)
    wall_s = time.monotonic() - began
    stack.wait_for_backfill(backfill, within_s=DAY_S)  # Airflow refuses another one before it has noticed the end
    good = [run for run in runs if run["state"] == "success"]
    spent = [causes_of(tasks_of(stack, run), start=_at(run, "start_date"), end=_at(run, "end_date")) for run in good]
    notes = [str(run["note"] or "") for run in runs if run["state"] == "failed"]
    problems = _problems(stack, runs, bad=bad)
    return Measured(days, len(good), len(notes), round(wall_s, 1), mean(spent), "; ".join(notes), tuple(problems))


def tasks_of(stack: Stack, run: dict[str, Any]) -> list[Task]:
    """Return the tasks of a run with all that is known of their time."""
    found = stack.tasks(SPEC, run["dag_run_id"])
    day = str(run["logical_date"])[:10]
    (folder,) = [RunFolder(path) for path in stack.installation.folders(SPEC, day)]
    timings = {timing["step"]: timing for timing in folder.timings()}
    tasks = []
    for name in CHAIN:
        facts, timing = found[name], timings.get(name)
        tasks.append(
            Task(
                name,
                scheduled=_at(facts, "scheduled_when"),
                queued=_at(facts, "queued_when"),
                start=_at(facts, "start_date"),
                end=_at(facts, "end_date"),
                command=_command_at(stack, run["dag_run_id"], facts),
                began=dt.datetime.fromisoformat(timing["began_at"]) if timing else None,
                seconds=timing["seconds"] if timing else 0.0,
            )
        )
    return tasks


def _command_at(stack: Stack, run_id: str, task: dict[str, Any]) -> dt.datetime | None:
    """Return when a task began its command, by its log."""
    of_run = f"/dags/score_{SPEC}/dagRuns/{quote(run_id, safe='')}"
    path = f"{of_run}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
    lines = stack.api.call("GET", path)["content"]
    found = [line for line in lines if isinstance(line, dict) and COMMAND.match(str(line.get("event")))]
    return dt.datetime.fromisoformat(found[0]["timestamp"]) if found else None


def _at(facts: dict[str, Any], name: str) -> dt.datetime:
    return dt.datetime.fromisoformat(facts[name])


def _problems(stack: Stack, runs: list[dict[str, Any]], *, bad: dt.date) -> list[str]:
    """Return what is not as it should be after the backfill, and after the same once more."""
    found, installation = [], stack.installation
    wanted = {str(run["logical_date"])[:10] for run in runs} - {bad.isoformat()}
    live, ledger = installation.live(SPEC), installation.ledger(SPEC)
    if set(live) != wanted:
        found.append(f"live days are not those that were asked for: {sorted(set(live) ^ wanted)}")
    found += [f"{day} is not whole" for day, rows in live.items() if [row[0] for row in rows] != list(range(ROWS))]
    published = sorted(entry["partition"] for entry in ledger if entry["outcome"] == "published")
    if published != sorted(wanted):
        found.append(f"the ledger has other publications: {published}")
    refused = [entry for entry in ledger if entry["outcome"] == "refused"]
    if [entry["partition"] for entry in refused] != [bad.isoformat()] or "age" not in refused[0]["reason"]:
        found.append(f"the ledger's refusals: {refused}")
    for run in runs:
        is_bad = str(run["logical_date"])[:10] == bad.isoformat()
        if (run["state"] == "failed") != is_bad:
            found.append(f"{run['dag_run_id']} is {run['state']}: {run['note']}")
        if is_bad and not re.match(r"Failed: gate: gate of partition .* failed.*age", str(run["note"]), re.DOTALL):
            found.append(f"the note of the refused run does not say why: {run['note']}")
    backfill = stack.backfill(SPEC, min(wanted | {bad.isoformat()}), max(wanted), at_once=4)
    stack.wait_for_backfill(backfill, within_s=len(runs) * DAY_S)
    if installation.live(SPEC) != live:
        found.append("the same backfill once more has changed what is live")
    return found


def show(measured: Measured) -> None:
    """Print the table."""
    total, work = sum(measured.causes_s.values()), measured.causes_s.get("work", 0.0)
    print(f"{measured.days} days: {measured.published} published, {measured.refused} refused, {measured.wall_s:.0f} s")
    print(f"the refused run's note: {' '.join(measured.note.split())[:160]}")
    print(f"a published run takes {total:.1f} s, {total - work:.1f} s of them beyond its steps:")
    for cause, text in CAUSES.items():
        print(f"  {measured.causes_s.get(cause, 0.0):7.2f} s  {text}")
    for problem in measured.problems:
        print(f"WRONG: {problem}")


if __name__ == "__main__":
    sys.exit(main())
