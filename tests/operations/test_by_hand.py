"""What people do to running tasks in the web pages, and time limits: what computes is gone within seconds."""

import pytest

from lockstep.run.folder import RunFolder
from tests.integration.kill_runs import check_not_scored_again, finished_attempts
from tests.operations.installation import Installation, days
from tests.operations.outcome import check_nothing_computes, check_published
from tests.operations.processes import computing, gone_within
from tests.operations.stack import Stack, until
from tests.operations.test_kills import GONE_S, SLOW, scoring


def under_way(installation: Installation, stack: Stack, spec: str) -> tuple[str, RunFolder]:
    """Trigger a day that takes its time, and wait until it is being scored."""
    (day,) = days(1)
    run_id = stack.trigger(installation.add_spec(spec), day, model="@slow")
    return run_id, scoring(installation, spec, day, units=3)


def test_running_task_cleared(installation: Installation, stack: Stack) -> None:
    spec, (day,) = "cleared", days(1)
    run_id, run = under_way(installation, stack, spec)
    jobs = set(computing(run.path))
    stack.clear(spec, run_id, "score")
    assert gone_within(lambda: [p for p in computing(run.path) if p in jobs], GONE_S) == []
    attempts = finished_attempts(run)
    assert [r["state"] for r in stack.wait_for_runs(spec, 1)] == ["success"]
    check_not_scored_again(attempts, run)
    check_published(installation, spec, {day: SLOW})
    check_nothing_computes(installation, spec)


@pytest.mark.parametrize("state", ["failed", "success"])
def test_running_task_marked(installation: Installation, stack: Stack, state: str) -> None:
    """Whatever it is called, nothing is published that was not scored; clearing it finishes the day."""
    spec, (day,) = f"marked_{state}", days(1)
    run_id, run = under_way(installation, stack, spec)
    stack.set_state(spec, run_id, "score", state)
    assert gone_within(lambda: computing(run.path), GONE_S) == []
    (ended,) = stack.wait_for_runs(spec, 1)
    assert ended["state"] == "failed"
    assert ended["note"].startswith("Failed: score: " if state == "failed" else "Failed: audit: ")
    assert installation.live(spec) == {}
    attempts = finished_attempts(run)
    stack.clear(spec, run_id, "score")
    stack.wait_for_task(spec, run_id, "publish", {"success"})
    (mended,) = stack.wait_for_runs(spec, 1)
    assert (mended["state"], mended["note"]) == ("success", None)
    check_not_scored_again(attempts, run)
    check_published(installation, spec, {day: SLOW})
    check_nothing_computes(installation, spec)


def test_time_limit(installation: Installation, stack: Stack) -> None:
    """The limit stops Spark; the next try goes on with what is finished, so that even a short limit ends well."""
    (day,), spec = days(1), installation.add_spec("time_limit", timeout_s=17)
    run_id = stack.trigger(spec, day, model="@slow")
    stack.wait_for_task(spec, run_id, "score", {"up_for_retry"})
    (run,) = [RunFolder(path) for path in installation.folders(spec, day)]
    assert gone_within(lambda: computing(run.path), GONE_S) == []
    (ended,) = stack.wait_for_runs(spec, 1)
    until(lambda: stack.tasks(spec, run_id)["score"]["try_number"] > 1, within_s=5, what="a second try")
    if ended["state"] == "success":
        check_published(installation, spec, {day: SLOW})
    else:
        assert "Failed: score: " in ended["note"]
        assert installation.live(spec) == {}
    check_nothing_computes(installation, spec)
