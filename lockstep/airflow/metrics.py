"""Metrics of scoring runs, through whatever Airflow is configured for: StatsD, its dialects with tags, OpenTelemetry.

They are read from what the steps wrote in the run folder, when a task has ended. A step whose result an earlier attempt
left is not counted again.
"""

import datetime as dt
import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Context
from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats

from lockstep.airflow.alerts import event_of
from lockstep.airflow.facts import folder_of_run
from lockstep.errors import LockstepError
from lockstep.run.folder import MANIFEST, TIMINGS, RunFolder
from lockstep.run.verdicts import SeenVerdict, seen_verdict
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location

PREFIX = "lockstep"
CHECKING = ("gate", "audit")
PUBLISHING = ("gate", "score", "audit", "publish")

log = logging.getLogger("lockstep.metrics")


def metric_callbacks(spec: ScoringSpec) -> dict[str, list[Callable[[Context], None]]]:
    """Return callbacks that emit a spec's metrics; none when Airflow emits no metrics at all."""
    if not any(conf.getboolean("metrics", name) for name in ("statsd_on", "statsd_datadog_enabled", "otel_on")):
        return {}
    return {
        "on_success_callback": [partial(emit, spec=spec, failed=False)],
        "on_failure_callback": [partial(emit, spec=spec, failed=True)],
    }


def emit(context: Context, *, spec: ScoringSpec, failed: bool) -> None:
    """Emit what a task that ended has measured. Raises nothing."""
    try:
        _emit(Meter(spec), context, failed=failed)
    except Exception:
        log.exception("metrics were not emitted")


class Meter:
    """Names metrics as the receiver can tell them apart: by tags, or, where there are none, by name.

    Args:
        spec: Whose metrics.
    """

    def __init__(self, spec: ScoringSpec) -> None:
        self.spec = spec
        self._tags = {"spec": spec.name, "model": spec.model.name}
        plain = conf.getboolean("metrics", "statsd_on") and not conf.getboolean("metrics", "statsd_influxdb_enabled")
        self._has_tags = not plain or conf.getboolean("metrics", "statsd_datadog_enabled")

    def count(self, name: str, value: int, **tags: str) -> None:
        """Add to a counter; nothing for nothing."""
        if value:
            stats.incr(self._name(name, tags), value, tags={**self._tags, **tags})

    def gauge(self, name: str, value: float | None, **tags: str) -> None:
        """Set a gauge, unless there is nothing to set it to."""
        if value is not None:
            stats.gauge(self._name(name, tags), value, tags={**self._tags, **tags})

    def time(self, name: str, seconds: float, **tags: str) -> None:
        """Record a duration, which goes out in milliseconds as all of Airflow's do."""
        stats.timing(self._name(name, tags), 1000 * seconds, tags={**self._tags, **tags})

    def _name(self, name: str, tags: Mapping[str, str]) -> str:
        if self._has_tags:
            return f"{PREFIX}.{name}"
        return ".".join([PREFIX, self.spec.name, name, *tags.values()])


def _emit(meter: Meter, context: Context, *, failed: bool) -> None:
    ti, task = context["ti"], context["task"]
    folder, step, since = folder_of_run(task, ti), task.task_id, ti.start_date
    if folder is not None:
        if not failed and (seconds := _seconds(folder, step, since=since)) is not None:
            meter.time("step.duration", seconds, step=step)
            if step == "score":
                _rows(meter, RunFolder(folder), seconds=seconds)
        if step in CHECKING and (verdict := seen_verdict(folder, step)) is not None and verdict.checked_at >= since:
            _checks(meter, verdict)
    if failed and step in PUBLISHING:
        event = event_of(getattr(context.get("exception"), "told", None))
        meter.count("publish.outcome", 1, outcome="failed" if event == "failed" else "refused")
    elif step == "publish":
        _publication(meter, ti.xcom_pull(task_ids=step))


def _rows(meter: Meter, folder: RunFolder, *, seconds: float) -> None:
    try:
        manifest = folder.manifest(step="score")
    except LockstepError as error:
        log.warning("no metrics of rows without %s: %s", MANIFEST, error)
        return
    meter.count("rows.scored", manifest.rows_scored)
    meter.count("rows.quarantined", manifest.rows_quarantined)
    if seconds > 0:
        meter.gauge("rows.rate", round(manifest.rows_in / seconds, 1))


def _checks(meter: Meter, verdict: SeenVerdict) -> None:
    meter.count("checks.failed", len(verdict.failed("critical")), stage=verdict.stage)
    meter.count("checks.warned", len(verdict.failed("warning")), stage=verdict.stage)
    if verdict.stage == "audit":
        meter.gauge("drift.psi", verdict.psi(meter.spec.output.column))


def _publication(meter: Meter, summary: Any) -> None:
    if not isinstance(summary, Mapping):
        return
    meter.count("publish.outcome", 1, outcome=str(summary["outcome"]))
    if summary.get("newest_live"):
        zone = ZoneInfo(meter.spec.schedule.timezone)
        day_after = dt.date.fromisoformat(str(summary["newest_live"])) + dt.timedelta(days=1)
        over = dt.datetime.combine(day_after, dt.time.min, tzinfo=zone)
        meter.gauge("live.newest", int(over.timestamp()))
        meter.gauge("live.age", round((dt.datetime.now(dt.UTC) - over).total_seconds()))


def _seconds(folder: Location, step: str, *, since: dt.datetime) -> float | None:
    """Return how long a step took; none if it was not done since then."""
    try:
        timing = json.loads((folder / TIMINGS / f"{step}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return float(timing["seconds"]) if dt.datetime.fromisoformat(timing["began_at"]) >= since else None
