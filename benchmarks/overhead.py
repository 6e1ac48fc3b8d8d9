"""Where the time of a DAG run goes, from Airflow's timestamps of its tasks and the run folder's record of its steps."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# In the order in which they follow one another; `published` ends beside `report`.
CHAIN = ("pin_model", "plan", "materialize", "gate", "score", "audit", "publish", "report")
CAUSES = {
    "hop": "scheduler: from the end of a task until the next one may run",
    "wait": "waiting for a pool or a slot (other days run)",
    "start": "executor: from the queue until the task's process begins",
    "process": "task process: loading Airflow and the DAG, until the command begins",
    "command": "start of the `lockstep` command, until its step begins",
    "choose": "pin_model and plan: registry, files, claim, and the start of their commands",
    "report": "end of a step until Airflow has it",
    "ends": "begin and end of the DAG run itself",
    "work": "the steps themselves: Spark, checks, publication, report",
}


@dataclass(frozen=True)
class Task:
    """One task of a DAG run.

    Attributes:
        scheduled, queued, start, end: Airflow's moments.
        command: When its command began, by its log; none: it has none.
        began: When its step began, by the run folder; none: the step is not timed.
        seconds: How long the step took.
    """

    name: str
    scheduled: dt.datetime
    queued: dt.datetime
    start: dt.datetime
    end: dt.datetime
    command: dt.datetime | None = None
    began: dt.datetime | None = None
    seconds: float = 0.0


def causes_of(tasks: Sequence[Task], *, start: dt.datetime, end: dt.datetime) -> dict[str, float]:
    """Return the seconds of a run by cause; they add up to its length.

    Args:
        tasks: Its tasks in order, each begun after the one before had ended.
        start: Of the run.
        end: Of the run.
    """
    found = dict.fromkeys(CAUSES, 0.0)
    before = start
    for number, task in enumerate(tasks):
        found["hop" if number else "ends"] += _between(before, task.scheduled)
        found["wait"] += _between(task.scheduled, task.queued)
        found["start"] += _between(task.queued, task.start)
        for cause, seconds in _inside(task).items():
            found[cause] += seconds
        before = task.end
    found["ends"] += _between(before, end)
    return found


def _inside(task: Task) -> dict[str, float]:
    """Return the seconds between start and end of a task, by cause."""
    length = _between(task.start, task.end)
    if task.began is None:
        loading = _between(task.start, task.command) if task.command else 0.0
        return {"process": loading, "choose": length - loading}
    # A Spark task notes its step before its command; a step's command notes it when everything is imported.
    first = min(task.command or task.began, task.began)
    loading = _between(task.start, first)
    starting = _between(first, task.began)
    return {
        "process": loading,
        "command": starting,
        "work": task.seconds,
        "report": length - loading - starting - task.seconds,
    }


def mean(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each cause."""
    return {cause: sum(run[cause] for run in runs) / len(runs) for cause in CAUSES} if runs else {}


def _between(first: dt.datetime, then: dt.datetime) -> float:
    return (then - first).total_seconds()
