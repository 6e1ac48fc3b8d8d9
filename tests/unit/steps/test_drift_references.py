"""Drift of runs against the runs before them, through the warehouse's ledger."""

import contextlib
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import ks_2samp

from lockstep.errors import CheckFailed
from lockstep.quality.drift_table import SCHEMA, table_name
from lockstep.quality.verdict import Verdict
from lockstep.registry.artifact import artifact_digest
from lockstep.run.folder import AUDIT, DRIFT, MANIFEST, RunFolder
from lockstep.run.plan import Plan
from lockstep.steps.audit import audit
from lockstep.steps.drift_references import earlier_publications, earlier_runs, read_profiles
from lockstep.steps.gate import gate
from lockstep.steps.publish import publish
from lockstep.steps.report import report
from tests.unit.steps.runs import (
    km_risk,
    make_model,
    make_settings,
    make_spec,
    parcels,
    plan_run,
    renew_claim,
    score_run,
)

pytestmark = pytest.mark.slow

FIRST = dt.date(2024, 3, 1)
DRIFT_SECTION = {"window_days": 3, "min_days": 2, "features": {"trailing": {"ks": 0.3}}}


def kilometres(rows: int = 40, *, add: float = 0.0) -> pa.Array:
    return pa.array([float((i * 37) % 100) + add for i in range(rows)])


def run_day(root: Path, number: int, *, add: float = 0.0, version: int = 1, live: bool = True) -> RunFolder:
    """Score, audit and publish one day."""
    loaded = make_spec(root, drift=DRIFT_SECTION, limits={"max_drift_psi": 50})
    training = parcels(500) if version == 1 else parcels(300, km=kilometres(300, add=20))
    model = make_model(root, loaded, version=version, training=training, score=km_risk)
    folder = plan_run(root, parcels(day=FIRST + dt.timedelta(number), km=kilometres(add=add)), loaded, model)
    score_run(folder)
    for step in (gate, audit, publish) if live else (gate, audit):
        step(folder, make_settings(root))
    return folder


def verdict_of(folder: RunFolder) -> Verdict:
    return folder.read_record(AUDIT, Verdict, step="test")


def window(plan: Plan, days: int) -> list[Path]:
    drift = plan.spec.drift.model_copy(update={"window_days": days})
    asked = plan.model_copy(update={"spec": plan.spec.model_copy(update={"drift": drift})})
    return [folder.path for folder in earlier_runs(asked, earlier_publications(asked, wait_s=1))]


def test_only_live_days_of_the_window_are_the_reference(tmp_path: Path) -> None:
    runs = [run_day(tmp_path, number) for number in range(4)]
    run_day(tmp_path, 4, live=False)
    last = run_day(tmp_path, 5)
    plan = last.plan(step="test")
    assert window(plan, 28) == [folder.path for folder in runs]
    assert window(plan, 3) == [folder.path for folder in runs[2:]]
    assert verdict_of(last).window is not None
    assert verdict_of(last).window.days == (FIRST + dt.timedelta(2), FIRST + dt.timedelta(3))  # type: ignore[union-attr]


def test_a_day_that_was_published_again_counts_once_with_its_newest_run(tmp_path: Path) -> None:
    run_day(tmp_path, 0)
    again = run_day(tmp_path, 0, version=2)
    renew_claim(again)
    publish(again, make_settings(tmp_path))  # a no-op, which is an entry of the ledger too
    later = run_day(tmp_path, 1).plan(step="test")
    assert window(later, 3) == [again.path]


def test_a_warehouse_without_publications_has_no_earlier_runs(tmp_path: Path) -> None:
    assert window(run_day(tmp_path, 0).plan(step="test"), 28) == []


def test_a_run_folder_that_is_gone_is_counted(tmp_path: Path) -> None:
    one, two = run_day(tmp_path, 0), run_day(tmp_path, 1)
    one.file(MANIFEST).unlink()
    found = read_profiles([one, two])
    assert [day for day, _ in found.profiles] == [FIRST + dt.timedelta(1)]
    assert found.unreadable == 1


def test_both_references_are_measured_and_judged(tmp_path: Path) -> None:
    for number in range(3):
        run_day(tmp_path, number)
    same, moved = run_day(tmp_path, 3), run_day(tmp_path, 4, add=60.0)
    for folder, fails in ((same, False), (moved, True)):
        verdict = verdict_of(folder)
        assert {(d.column, d.reference) for d in verdict.drift} == {
            (name, against) for name in ("km", "depot", "risk") for against in ("training", "trailing")
        }
        results = {result.target: result.success for result in verdict.results if result.name == "drift.trailing.ks"}
        assert results == {"km": not fails}
    trailing = next(d for d in verdict_of(same).drift if d.column == "km" and d.reference == "trailing")
    assert (trailing.psi, trailing.js, trailing.ks) == pytest.approx((0, 0, 0), abs=1e-2)
    assert (trailing.rows, trailing.reference_rows) == (40, 120)
    training = next(d for d in verdict_of(moved).drift if d.column == "km" and d.reference == "training")
    exact = float(ks_2samp(kilometres(500), kilometres(add=60.0), method="asymp").statistic)
    assert (training.ks, training.ks_above) == pytest.approx((exact, 0.0), abs=1e-6)


def test_a_baseline_of_an_earlier_lockstep_gives_a_lower_bound(tmp_path: Path) -> None:
    loaded = make_spec(tmp_path)
    model = make_model(tmp_path, loaded, version=1, training=parcels(500), score=km_risk)
    baseline = Path(model.location, "artifacts", "baseline.json")
    stored = json.loads(baseline.read_text())
    for column in stored["columns"].values():
        column.pop("cumulative", None)
    baseline.write_text(json.dumps(stored))
    older = model.model_copy(update={"digest": artifact_digest(Path(model.location))})
    folder = plan_run(tmp_path, parcels(km=kilometres(add=33.0)), loaded, older)
    score_run(folder)
    audit_or_stop(folder, tmp_path)
    found = next(drift for drift in verdict_of(folder).drift if drift.column == "km")
    exact = float(ks_2samp(kilometres(500), kilometres(add=33.0), method="asymp").statistic)
    assert found.ks is not None
    assert (found.ks_below, found.ks <= exact <= found.ks + found.ks_above) == (0, True)
    assert found.ks_above > 0


def audit_or_stop(folder: RunFolder, root: Path) -> None:
    """Audit a run whatever comes of it."""
    with contextlib.suppress(CheckFailed):
        audit(folder, make_settings(root))


def test_days_of_another_model_version_are_a_reference_too(tmp_path: Path) -> None:
    for number in range(3):
        run_day(tmp_path, number, version=1 + number % 2)
    drift = {d.column: d for d in verdict_of(run_day(tmp_path, 3)).drift if d.reference == "trailing"}
    assert set(drift) == {"km", "depot", "risk"}
    assert all(d.reading == "stable" for d in drift.values())


def test_the_table_has_a_row_for_each_column_reference_and_metric(tmp_path: Path) -> None:
    for number in range(3):
        folder = run_day(tmp_path, number)
    table = pq.read_table(folder.file(DRIFT))
    assert table.schema.equals(SCHEMA)
    rows = table.to_pylist()
    assert len(rows) == 3 * 2 * 3
    assert len({(r["column_name"], r["reference"], r["metric"]) for r in rows}) == len(rows)
    bounds = {(r["column_name"], r["reference"], r["metric"]): r["threshold"] for r in rows if r["threshold"]}
    assert bounds == {
        ("risk", "training", "psi"): 50,
        ("km", "trailing", "ks"): 0.3,
    }
    assert {r["run_key"] for r in rows} == {folder.plan(step="test").run_key}
    assert all(r["value"] is None for r in rows if (r["column_name"], r["metric"]) == ("depot", "ks"))
    assert all(r["value_low"] <= r["value"] <= r["value_high"] for r in rows if r["value"] is not None)
    assert table_name("parcel_scores") == "parcel_scores_drift"


def test_a_failed_audit_leaves_its_drift(tmp_path: Path) -> None:
    loaded = make_spec(tmp_path)
    model = make_model(tmp_path, loaded, version=1, training=parcels(500), score=km_risk)
    folder = plan_run(tmp_path, parcels(), loaded, model)
    score_run(folder, lambda batch: np.full(batch.num_rows, 0.5))
    with pytest.raises(CheckFailed):
        audit(folder, make_settings(tmp_path))
    assert pq.read_table(folder.file(DRIFT)).num_rows == 9


def test_an_audit_of_an_earlier_lockstep_is_still_read(tmp_path: Path) -> None:
    folder = run_day(tmp_path, 0)
    stored = json.loads(folder.file(AUDIT).read_text())
    for key in ("trends", "window"):
        del stored[key]
    old = {"column", "kind", "psi", "reading", "null_percent", "baseline_null_percent"}
    stored["drift"] = [{key: value for key, value in drift.items() if key in old} for drift in stored["drift"]]
    folder.write_json(AUDIT, stored)
    assert {d.reference for d in verdict_of(folder).drift} == {"training"}
    report(folder, make_settings(tmp_path))
