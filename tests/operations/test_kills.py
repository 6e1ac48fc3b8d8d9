"""kill -9 of the scheduler and of tasks, in the middle of things."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from lockstep.run.folder import MANIFEST, RunFolder
from tests.integration.kill_runs import check_not_scored_again, finished_attempts
from tests.integration.world import GOOD
from tests.operations.installation import Installation, days
from tests.operations.outcome import check_nothing_computes, check_published, check_repeated
from tests.operations.processes import belonging_to, computing, gone_within
from tests.operations.stack import Stack, until

SLOW = 5
GONE_S, WAIT_S = 20.0, 900.0


def scoring(installation: Installation, spec: str, day: str, *, units: int) -> RunFolder:
    """Wait until some units of a day are scored, and others are not; return the run."""

    def found() -> list[RunFolder]:
        folders = [RunFolder(path) for path in installation.folders(spec, day)]
        return [run for run in folders if len(finished_attempts(run)) >= units and not run.has(MANIFEST)]

    return until(found, within_s=WAIT_S, what=f"{units} finished units of {spec} {day}")[0]


def driver_parent(folder: Path) -> psutil.Process:
    """Return the Airflow process that started the Spark job of a run."""
    (submit,) = [p for p in computing(folder) if p.name() == "java"]
    parent = submit.parent()
    assert parent is not None
    return parent


def test_scheduler_killed_in_a_backfill(installation: Installation, stack: Stack) -> None:
    """All stops and says why; the next `lockstep up` goes on where it was."""
    spec, wanted = installation.add_spec("scheduler_killed", alias="slow"), days(3)
    backfill = stack.backfill(spec, wanted[0], wanted[-1])
    run = scoring(installation, spec, wanted[0], units=3)
    os.kill(stack.pid_of("scheduler"), signal.SIGKILL)
    assert until(stack.ended, within_s=40, what="end of lockstep up") == 4
    assert "scheduler was killed by signal 9, so everything was stopped" in stack.log
    servers = [*installation.registry.pids, *installation.warehouse.pids]
    assert gone_within(lambda: belonging_to(installation.home, but=servers), GONE_S) == []
    attempts = finished_attempts(run)

    stack.start()
    assert {r["state"] for r in stack.wait_for_runs(spec, 3)} == {"success"}
    stack.wait_for_backfill(backfill)
    check_not_scored_again(attempts, run)
    check_published(installation, spec, dict.fromkeys(wanted, SLOW))
    check_nothing_computes(installation, spec)
    check_repeated(stack, spec, wanted)


@pytest.mark.parametrize("victim", ["task", "supervisor"])
def test_a_process_of_a_task_is_killed_while_it_scores(installation: Installation, stack: Stack, victim: str) -> None:
    """The Spark job dies with it, Airflow runs the task again, and finished units are not scored again.

    A task must not outlive Airflow's supervisor of it: Airflow starts it anew, and two would score side by side.
    """
    spec, (day,) = installation.add_spec(f"{victim}_killed"), days(1)
    run_id = stack.trigger(spec, day, model="@slow")
    run = scoring(installation, spec, day, units=3)
    task = driver_parent(run.path)
    killed = task if victim == "task" else task.parents()[0]
    assert killed.pid != stack.pid_of("scheduler")
    os.kill(killed.pid, signal.SIGKILL)
    assert gone_within(lambda: computing(run.path), GONE_S) == []
    attempts = finished_attempts(run)
    assert [r["state"] for r in stack.wait_for_runs(spec, 1)] == ["success"]
    assert stack.tasks(spec, run_id)["score"]["try_number"] == 2
    check_not_scored_again(attempts, run)
    check_published(installation, spec, {day: SLOW})
    check_nothing_computes(installation, spec)
    assert stack.ended() is None


def test_two_runs_of_one_day_at_once(installation: Installation, stack: Stack) -> None:
    """Somebody at a shell and Airflow want the same day: one of them scores it, both are content."""
    spec, (day,) = installation.add_spec("twice"), days(1)
    run_id = stack.trigger(spec, day, model="@slow")
    run = scoring(installation, spec, day, units=2)
    by_hand = installation.lockstep("run", spec, "--date", day, "--model-version", str(SLOW))
    assert by_hand.returncode == 0, by_hand.stderr
    assert f"waiting for airflow score_{spec} {run_id} (score, process" in by_hand.stderr
    assert [r["state"] for r in stack.wait_for_runs(spec, 1)] == ["success"]
    assert all(len(attempts) == 1 for attempts in finished_attempts(run).values())
    assert {(row[2]) for row in installation.live(spec)[day]} == {SLOW}
    outcomes = [entry["outcome"] for entry in installation.ledger(spec)]
    assert outcomes.count("published") == 1, outcomes
    assert GOOD != SLOW
