"""Deadlines: who hears that a scoring run is late.

Airflow's scheduler notices (within seconds), shows it in the page of the run, and starts `deadline_missed` by the
executor. Others who want to hear of it add themselves to `RECEIVERS`.
"""

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

from lockstep.specs.spec import ScoringSpec

# Each is given the message and the facts: dag_id, run_id, run_type, owner, minutes.
RECEIVERS: list[Callable[[str, Mapping[str, Any]], None]] = []

log = logging.getLogger(__name__)


def deadline(spec: ScoringSpec) -> DeadlineAlert | None:
    """Return the deadline of a spec's scoring runs, if it has one.

    It counts from when a run was queued: the logical date of a run for a past day is long gone, and that of a run which
    an asset started is empty.
    """
    minutes = spec.schedule.deadline_minutes
    if minutes is None:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=dt.timedelta(minutes=minutes),
        callback=SyncCallback(deadline_missed, kwargs={"owner": spec.owner, "minutes": minutes}),
        name=f"{spec.name}: {minutes} minutes",
    )


def deadline_missed(*, context: Mapping[str, Any], owner: str, minutes: int) -> None:
    """Tell that a run is late. The days of a backfill wait for each other, so they are not told of.

    Args:
        context: `dag_run` and `deadline`, as Airflow's REST API has them.
        owner: Of the spec.
        minutes: Of its deadline.
    """
    run = context["dag_run"]
    facts = {"dag_id": run["dag_id"], "run_id": run["dag_run_id"], "run_type": run["run_type"]}
    facts |= {"owner": owner, "minutes": minutes}
    if facts["run_type"] == "backfill":
        log.info("run %s of %s is a backfill's and may be late", facts["run_id"], facts["dag_id"])
        return
    text = message(facts)
    log.error("%s", text)
    for tell in RECEIVERS:
        try:
            tell(text, facts)
        except Exception:  # what one of them cannot tell, the others still must
            log.exception("%s could not be told", tell)


def message(facts: Mapping[str, Any]) -> str:
    """Return what people read."""
    return (
        f"{facts['dag_id']}: run {facts['run_id']} is not done {facts['minutes']} minutes after it was queued. "
        f"Whom to ask: {facts['owner']}. Look at the run's page for the task that is slow or waits for a pool."
    )
