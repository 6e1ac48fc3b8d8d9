"""The registry and the warehouse are away for a minute, and an alias moves."""

import datetime as dt
import signal
import time
from collections.abc import Callable

import mlflow
import pytest

from tests.integration.world import GOOD, OTHER_GOOD
from tests.operations.installation import Installation, days
from tests.operations.outcome import check_nothing_computes, check_published, check_repeated
from tests.operations.stack import Stack, until

OUTAGE_S = 60.0


def waits_for_retry(stack: Stack, spec: str, *tasks: str) -> Callable[[], bool]:
    """Whether one of some tasks has failed in some run and will be tried again."""

    def waits() -> bool:
        found = [stack.tasks(spec, run["dag_run_id"]) for run in stack.runs(spec)]
        return any(run[task]["state"] == "up_for_retry" for run in found for task in tasks if task in run)

    return waits


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_registry_away_for_a_minute(installation: Installation, stack: Stack, how: str) -> None:
    """What needs the registry waits and is tried again; all days are published."""
    spec, wanted = installation.add_spec(f"registry_{how}"), days(2)
    stack.open(spec)
    if how == "killed":
        installation.registry.stop(signal.SIGKILL)
    else:
        installation.registry.freeze()
    began = time.monotonic()
    try:
        backfill = stack.backfill(spec, wanted[0], wanted[-1])
        until(waits_for_retry(stack, spec, "pin_model"), within_s=600, what="pin_model up for retry")
        time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - began)))
    finally:
        if how == "killed":
            installation.registry.start()
        else:
            installation.registry.thaw()
    assert {run["state"] for run in stack.wait_for_runs(spec, 2)} == {"success"}
    tries = [stack.tasks(spec, run["dag_run_id"])["pin_model"]["try_number"] for run in stack.runs(spec)]
    assert max(tries) > 1, tries
    stack.wait_for_backfill(backfill)
    check_published(installation, spec, dict.fromkeys(wanted, GOOD))
    check_nothing_computes(installation, spec)


def test_warehouse_away_for_a_minute(installation: Installation, stack: Stack) -> None:
    """The rows wait in the run folder until they can be published; nothing is scored again."""
    spec, wanted = installation.add_spec("warehouse_away"), days(2)
    backfill = stack.backfill(spec, wanted[0], wanted[-1])

    def scored() -> bool:
        return any(folder.joinpath("manifest.json").exists() for folder in installation.folders(spec, wanted[0]))

    until(scored, within_s=900, what=f"manifest of {wanted[0]}")
    installation.warehouse.stop(signal.SIGQUIT)  # at once, as when its machine loses power
    began = dt.datetime.now(dt.UTC)
    try:
        until(waits_for_retry(stack, spec, "plan", "audit", "publish"), within_s=600, what="a task up for retry")
        time.sleep(max(0.0, OUTAGE_S - (dt.datetime.now(dt.UTC) - began).total_seconds()))
    finally:
        installation.warehouse.start()
    assert {run["state"] for run in stack.wait_for_runs(spec, 2)} == {"success"}
    tasks = [stack.tasks(spec, run["dag_run_id"]) for run in stack.runs(spec)]
    assert max(run[task]["try_number"] for run in tasks for task in ("plan", "audit", "publish")) > 1
    assert {task["score"]["try_number"] for task in tasks} == {1}
    stack.wait_for_backfill(backfill)
    check_published(installation, spec, dict.fromkeys(wanted, GOOD))
    check_nothing_computes(installation, spec)
    check_repeated(stack, spec, wanted)


def test_alias_moved_in_a_backfill(installation: Installation, stack: Stack) -> None:
    """Runs that have taken a version keep it, however often they are cleared; later ones take the new one."""
    spec, wanted = installation.add_spec("alias_moved", alias="moving"), days(3)
    client = mlflow.MlflowClient(installation.env["MLFLOW_TRACKING_URI"])
    client.set_registered_model_alias("churn", "moving", str(GOOD))
    backfill = stack.backfill(spec, wanted[0], wanted[-1], at_once=1)
    first = until(lambda: stack.runs(spec), within_s=60, what="a run")[0]["dag_run_id"]
    stack.wait_for_task(spec, first, "pin_model", {"success"})
    client.set_registered_model_alias("churn", "moving", str(OTHER_GOOD))
    assert {run["state"] for run in stack.wait_for_runs(spec, 3)} == {"success"}
    stack.wait_for_backfill(backfill)
    versions = dict(zip(wanted, [GOOD, OTHER_GOOD, OTHER_GOOD], strict=True))
    check_published(installation, spec, versions)
    stack.clear(spec, first, "pin_model")
    stack.wait_for_task(spec, first, "publish", {"success"})
    stack.wait_for_runs(spec, 3)
    check_published(installation, spec, versions)
    assert installation.ledger(spec)[-1]["outcome"] == "noop"
