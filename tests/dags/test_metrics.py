"""What a real StatsD receiver gets when tasks of a run end."""

import atexit
import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics import otel_logger
from airflow.sdk._shared.observability.metrics import stats as sdk_stats
from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils

from lockstep.airflow.callbacks import task_callbacks
from lockstep.airflow.metrics import metric_callbacks
from lockstep.airflow.step import StepOperator, failure
from lockstep.specs.loading import load_spec
from lockstep.specs.spec import ScoringSpec
from tests.dags.receivers import statsd, web
from tests.dags.tasks import Ti

BEGAN = dt.datetime(2024, 1, 2, 6, tzinfo=dt.UTC)
UNIT = {"staged": "a", "rows_in": 500, "rows_scored": 497, "rows_quarantined": 3, "rows_staged": 497, "sha256": "s"}
UNIT |= {"unit": "0", "size_bytes": 9}
CHECK = {"kind": "limit", "name": "x", "observed": "1", "expected": "0"}


@pytest.fixture
def spec(models: Path) -> ScoringSpec:
    return load_spec(models / "flight_delay").spec


@pytest.fixture
def folder(spec: ScoringSpec, tmp_path: Path) -> Path:
    """The folder of a run that got as far as its audit, which failed."""
    folder = tmp_path / "runs" / "flight_delay" / "2024-01-01" / "k"
    (folder / "timings").mkdir(parents=True)
    for step in ("gate", "score"):
        timing = {"step": step, "began_at": BEGAN.isoformat(), "seconds": 2.5}
        (folder / "timings" / f"{step}.json").write_text(json.dumps(timing))
    (folder / "manifest.json").write_text(json.dumps({"run_key": "k", "units": [UNIT]}))
    checks = [{**CHECK, "severity": s, "success": g} for s, g in (("critical", False), ("warning", False))]
    facts = {"run_key": "k", "rows": 500, "checked_at": BEGAN.isoformat(), "results": checks, "passed": False}
    drift = [{"column": column, "psi": psi} for column, psi in (("distance", 0.5), (spec.output.column, 0.125))]
    for stage in ("gate", "audit"):
        (folder / f"{stage}.json").write_text(json.dumps({**facts, "stage": stage, "drift": drift}))
    return folder


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configure Airflow's metrics as its processes do at their start; afterwards they are off again."""

    def configure(**options: object) -> None:
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name.upper()}", str(value))
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)

    yield configure
    if (client := getattr(sdk_stats._get_backend(), "statsd", None)) is not None:
        client.close()
    monkeypatch.undo()
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def ended(spec: ScoringSpec, folder: Path, step: str, **facts: Any) -> None:
    """Call back as Airflow does when a task has ended."""
    ti = Ti(plan={"run_folder": str(folder)}, publish=facts.pop("summary", None))
    ti.start_date = facts.pop("since", BEGAN - dt.timedelta(seconds=1))
    task = StepOperator(task_id=step, arguments=["step", step, "--run-folder", str(folder)])
    outcome = "failure" if "exception" in facts else "success"
    for callback in metric_callbacks(spec).get(f"on_{outcome}_callback", []):
        callback({"ti": ti, "task": task, **facts})


PUBLISHED = {"outcome": "published", "rows": 497, "newest_live": "2024-01-01"}


def test_a_receiver_without_tags_gets_names_that_tell_specs_apart(
    spec: ScoringSpec, folder: Path, configured: Any
) -> None:
    with statsd() as (port, lines):
        configured(statsd_on=True, statsd_host="127.0.0.1", statsd_port=port)
        for step in ("gate", "score"):
            ended(spec, folder, step)
        ended(spec, folder, "audit", exception=failure("lockstep step audit", 7))
        ended(spec, folder, "publish", summary=PUBLISHED)
    name = "airflow.lockstep.flight_delay"
    age = next(line for line in lines if line.startswith(f"{name}.live.age"))
    assert int(re.search(r":(\d+)\|g$", age)[1]) > 0
    expected = [
        f"{name}.step.duration.gate:2500.000000|ms",
        f"{name}.checks.failed.gate:1|c",
        f"{name}.checks.warned.gate:1|c",
        f"{name}.step.duration.score:2500.000000|ms",
        f"{name}.rows.scored:497|c",
        f"{name}.rows.quarantined:3|c",
        f"{name}.rows.rate:200.0|g",
        f"{name}.checks.failed.audit:1|c",
        f"{name}.checks.warned.audit:1|c",
        f"{name}.drift.psi:0.125|g",
        f"{name}.publish.outcome.refused:1|c",
        f"{name}.publish.outcome.published:1|c",
        f"{name}.live.newest:{int(dt.datetime(2024, 1, 2, 5, tzinfo=dt.UTC).timestamp())}|g",
        age,
    ]
    assert lines == expected


def test_a_receiver_with_tags_gets_tags(spec: ScoringSpec, folder: Path, configured: Any) -> None:
    with statsd() as (port, lines):
        configured(statsd_on=True, statsd_host="127.0.0.1", statsd_port=port, statsd_influxdb_enabled=True)
        ended(spec, folder, "gate")
        ended(spec, folder, "publish", summary={"outcome": "noop", "newest_live": None})
    tags = f"spec=flight_delay,model={spec.model.name}"
    assert lines == [
        f"airflow.lockstep.step.duration,{tags},step=gate:2500.000000|ms",
        f"airflow.lockstep.checks.failed,{tags},stage=gate:1|c",
        f"airflow.lockstep.checks.warned,{tags},stage=gate:1|c",
        f"airflow.lockstep.publish.outcome,{tags},outcome=noop:1|c",
    ]


def test_what_an_earlier_attempt_did_is_not_counted_again(spec: ScoringSpec, folder: Path, configured: Any) -> None:
    with statsd() as (port, lines):
        configured(statsd_on=True, statsd_host="127.0.0.1", statsd_port=port)
        for step in ("gate", "score", "audit"):
            ended(spec, folder, step, since=BEGAN + dt.timedelta(seconds=9))
    assert lines == []


def test_a_crash_is_an_outcome_and_what_is_missing_no_error(
    spec: ScoringSpec, folder: Path, configured: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "manifest.json").unlink()
    with statsd() as (port, lines):
        configured(statsd_on=True, statsd_host="127.0.0.1", statsd_port=port)
        ended(spec, folder, "score", exception=None)
        ended(spec, folder, "materialize", exception=None)
        ended(spec, folder, "score")
        ended(spec, folder / "nowhere", "audit")
    assert [line.split(".", 3)[3] for line in lines] == [
        "publish.outcome.failed:1|c",
        "step.duration.score:2500.000000|ms",
    ]
    assert "metrics were not emitted" not in caplog.text


def test_opentelemetry_gets_names_and_attributes(spec: ScoringSpec, folder: Path, configured: Any) -> None:
    from opentelemetry import metrics
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    with web() as server:
        configured(otel_on=True, otel_host="127.0.0.1", otel_port=server.port)
        ended(spec, folder, "score")
        provider = metrics.get_meter_provider()
        assert provider.force_flush()  # as Airflow does when a task's process ends
        provider.shutdown()
        atexit.unregister(otel_logger.flush_otel_metrics)
    path, _, body = server.got[0]
    assert path == "/v1/metrics"
    found = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    assert [metric.name for metric in found] == [
        "airflow.lockstep.step.duration",
        "airflow.lockstep.rows.scored",
        "airflow.lockstep.rows.quarantined",
        "airflow.lockstep.rows.rate",
    ]
    (point,) = found[1].sum.data_points
    assert point.as_int == 497
    assert {a.key: a.value.string_value for a in point.attributes} == {"spec": spec.name, "model": spec.model.name}


def test_nothing_is_called_back_unless_somebody_listens(spec: ScoringSpec) -> None:
    assert not conf.getboolean("metrics", "statsd_on")
    assert task_callbacks(spec) == {}
