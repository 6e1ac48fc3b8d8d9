"""Deadlines: who hears that a scoring run is late.

Airflow's scheduler notices (within seconds), shows it in the page of the run, and starts `deadline_missed` by the
executor, so no triggerer is needed. It tells whom the spec's `alerts` name.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

from lockstep.specs.loading import LoadedSpec

log = logging.getLogger(__name__)


def deadline(loaded: LoadedSpec) -> DeadlineAlert | None:
    """Return the deadline of a spec's scoring runs, if it has one.

    It counts from when a run was queued: the logical date of a run for a past day is long gone, and that of a run which
    an asset started is empty.
    """
    spec = loaded.spec
    minutes = spec.schedule.deadline_minutes
    if minutes is None:
        return None
    where = str(loaded.folder.parent)
    whom = {"spec": spec.name, "owner": spec.owner, "minutes": minutes, "models_root": where}
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=dt.timedelta(minutes=minutes),
        callback=SyncCallback(deadline_missed, kwargs=whom),
        name=f"{spec.name}: {minutes} minutes",
    )


def deadline_missed(*, context: Mapping[str, Any], spec: str, owner: str, minutes: int, models_root: str = "") -> None:
    """Tell that a run is late. The days of a backfill wait for each other, so they are not told of.

    Args:
        context: `dag_run` and `deadline`, as Airflow's REST API has them.
        spec: Its name.
        owner: Of the spec.
        minutes: Of its deadline.
        models_root: Folder of the specs; empty: that of the settings.
    """
    run = context["dag_run"]
    facts = {"dag_id": run["dag_id"], "run_id": run["dag_run_id"], "run_type": run["run_type"]}
    facts |= {"owner": owner, "minutes": minutes}
    if facts["run_type"] == "backfill":
        log.info("run %s of %s is a backfill's and may be late", facts["run_id"], facts["dag_id"])
        return
    text = message(facts)
    log.error("%s", text)
    from lockstep.airflow.alerts import tell_of_deadline

    try:
        tell_of_deadline(text, spec=spec, context=context, models_root=models_root)
    except Exception:  # the run goes on, and the log has it
        log.exception("an alert was not sent")


def message(facts: Mapping[str, Any]) -> str:
    """Return what people read."""
    return (
        f"{facts['dag_id']}: run {facts['run_id']} is not done {facts['minutes']} minutes after it was queued. "
        f"Whom to ask: {facts['owner']}. Look at the run's page for the task that is slow or waits for a pool."
    )
