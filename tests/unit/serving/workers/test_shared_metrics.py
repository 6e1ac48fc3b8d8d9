"""The metrics of several processes add up, and those of one that died are not lost."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.serving.metrics import FAMILIES, Metrics, merged, text
from lockstep.serving.trace import Trace
from lockstep.serving.workers.shared_metrics import all_text, bury, write_snapshot


def counted(requests: int, *, busy: int = 0) -> Metrics:
    metrics = Metrics()
    for number in range(requests):
        trace = Trace("id", edge="grpc", model="toy", version="3", rows=2)
        trace.stages_s["compute"] = 0.001 * number
        metrics.observe(trace, 200 if number % 2 else 503, 0.002)
    metrics.add("lockstep_swaps", "toy", "3")
    metrics.info = {("toy", "3", "d")}
    metrics.in_progress = busy
    return metrics


def samples(content: bytes) -> dict[tuple[str, ...], float]:
    found = [sample for family in text_string_to_metric_families(content.decode()) for sample in family.samples]
    return {(s.name, *(s.labels[k] for k in sorted(s.labels) if s.labels[k])): s.value for s in found}


def write_as(folder: Path, pid: int, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        write_snapshot(folder, metrics.snapshot())


def test_workers_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_as(tmp_path, 1, counted(10, busy=2), monkeypatch)
    write_as(tmp_path, 2, counted(4, busy=1), monkeypatch)
    write_snapshot(tmp_path, counted(100).snapshot())  # an older one of this process does not count twice
    found = samples(all_text(tmp_path, counted(6).snapshot()))
    assert found["lockstep_requests_total", "grpc", "toy", "200", "3"] == 10
    assert found["lockstep_rows_total", "grpc", "toy", "3"] == 20
    assert found["lockstep_requests_in_progress",] == 3
    assert found["lockstep_model_info", "d", "toy", "3"] == 1
    assert found["lockstep_stage_seconds_count", "toy", "compute", "3"] == 20
    assert found["lockstep_request_seconds_sum", "grpc", "toy", "3"] == pytest.approx(0.04)
    assert found["lockstep_swaps_total", "toy", "3"] == 3


def test_what_a_dead_worker_counted_stays_and_what_it_did_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in (1, 2):
        write_as(tmp_path, pid, counted(10, busy=5), monkeypatch)
        bury(tmp_path, pid)
    bury(tmp_path, 3)  # which ended before it wrote anything
    found = samples(all_text(tmp_path, counted(6, busy=1).snapshot()))
    assert found["lockstep_requests_total", "grpc", "toy", "503", "3"] == 13
    assert found["lockstep_requests_in_progress",] == 1
    assert [path.name for path in tmp_path.glob("metrics-*.json")] == ["metrics-past.json"]


def test_buckets_are_cumulative_and_end_with_all() -> None:
    found = [
        sample
        for family in text_string_to_metric_families(text([counted(9).snapshot()], process=False).decode())
        for sample in family.samples
        if sample.name == "lockstep_stage_seconds_bucket"
    ]
    values = [sample.value for sample in found]
    assert values == sorted(values)
    assert (found[-1].labels["le"], values[-1]) == ("+Inf", 9)


def test_a_snapshot_survives_json_and_merging_with_nothing() -> None:
    snapshot: Any = json.loads(json.dumps(counted(5).snapshot()))
    assert text([snapshot, {}], process=False) == text([counted(5).snapshot()], process=False)
    assert merged([snapshot]).keys() <= FAMILIES.keys()


def test_metrics_of_a_process_are_told_for_one_alone() -> None:
    alone = text([counted(1).snapshot()], process=True)
    assert (b"process_cpu_seconds_total" in alone) == Path("/proc").exists()


def test_histograms_of_many_values_count_as_one_by_one_and_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, labels = "lockstep_shadow_difference", ("toy", "4", "shadow_deep", "champion")
    values = [0.0, 1e-9, 2e-9, 0.01, 0.3, 10.0, 11.0]
    at_once, one_by_one = Metrics(), Metrics()
    at_once.spread(name, *labels).observe_all(np.array(values))
    at_once.spread(name, *labels).observe_all(np.array([]))
    for value in values:
        one_by_one.spread(name, *labels).observe(value)
    assert at_once.snapshot()[name][0][1][0] == one_by_one.snapshot()[name][0][1][0]
    write_as(tmp_path, 1, at_once, monkeypatch)
    found = samples(all_text(tmp_path, one_by_one.snapshot()))
    assert found[f"{name}_count", "champion", "shadow_deep", "toy", "4"] == 14
    assert found[f"{name}_sum", "champion", "shadow_deep", "toy", "4"] == pytest.approx(2 * sum(values))
    assert found[f"{name}_bucket", "champion", "shadow_deep", "0.0", "toy", "4"] == 2
