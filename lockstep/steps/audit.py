"""Audit: is what was staged the whole, exact and plausible result of the plan?"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.quality import invariants
from lockstep.quality.drift_limits import drift_results
from lockstep.quality.expectations import run_suite
from lockstep.quality.frame import read_frame
from lockstep.quality.histogram import ScoreHistogram, score_histogram
from lockstep.quality.limits import quarantined_fraction
from lockstep.quality.results import CheckResult
from lockstep.quality.suites import load_suite
from lockstep.quality.verdict import Verdict, passed
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.loading import baseline
from lockstep.run.folder import AUDIT, MANIFEST, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings
from lockstep.steps.drift_references import DriftFacts, earlier_runs, measure_drift, read_profiles, write_drift

DOCS = "gx/audit"
FROZEN_SPEC = "spec"


def audit(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Check invariants, limits, drift and the suite on the staged bytes; write `drift.parquet` and `audit.json`.

    Returns:
        Rows, checks, warnings and whether an earlier passed result for the same manifest was `reused`.

    Raises:
        CheckFailed: A critical check failed.
        ColumnMissing: The suite names a column that the staged rows do not have.
    """
    plan = folder.plan(step="audit")
    folder.manifest(step="audit")
    earlier = folder.read_record(AUDIT, Verdict, step="audit") if folder.has(AUDIT) else None
    audited = earlier.manifest_sha256 if earlier and earlier.passed and earlier.run_key == plan.run_key else None
    if earlier and audited == file_sha256(folder.file(MANIFEST)):
        return earlier.summary(reused=True)
    with folder.timed("audit"):
        verdict = _check(folder, settings)
        write_drift(folder, plan, verdict.drift)
        folder.write_json(AUDIT, verdict)
    verdict.stop_if_failed(str(folder.file(AUDIT)))
    return verdict.summary(reused=False)


def _check(folder: RunFolder, settings: Settings) -> Verdict:
    plan, manifest = folder.plan(step="audit"), folder.manifest(step="audit")
    digest, now = file_sha256(folder.file(MANIFEST)), dt.datetime.now(dt.UTC)
    results, readable = _invariants(folder, plan, manifest)
    results.append(quarantined_fraction(manifest, plan.spec.limits))
    drift = DriftFacts()
    score: ScoreHistogram | None = None
    if readable:
        files = [folder.file(unit.staged) for unit in manifest.units]
        drift, score = _drift(plan, manifest, files, wait_s=settings.warehouse_wait_s)
        results += drift_results(drift.columns, plan.spec, drift.window)
        results += _suite(folder, plan, files, at=now)
    return Verdict(
        stage="audit",
        run_key=plan.run_key,
        partition=plan.partition,
        passed=passed(results),
        checked_at=now,
        rows=manifest.rows_staged,
        manifest_sha256=digest,
        docs=f"{DOCS}/index.html" if readable else None,
        results=tuple(results),
        drift=drift.columns,
        trends=drift.trends,
        window=drift.window,
        score=score,
    )


def _invariants(folder: RunFolder, plan: Plan, manifest: Manifest) -> tuple[list[CheckResult], bool]:
    """Return the results, and whether the staged files are whole, so that their rows can be looked at."""
    results = invariants.accounted_rows(manifest, folder.scoring_input(step="audit"))
    unchanged = invariants.unchanged_files(manifest, folder.path)
    results += unchanged
    files = [folder.file(unit.staged) for unit in manifest.units]
    if not files or not all(result.success for result in unchanged):
        return results, False
    shape = invariants.staged_columns(invariants.shapes_of(files), plan)
    results.append(shape)
    if shape.success:
        facts = invariants.read_staged(files, key=plan.spec.key, partition_column=plan.spec.partition.column)
        results += invariants.staged_rows(facts, plan, manifest, root=folder.path)
    return results, shape.success


def _drift(
    plan: Plan, manifest: Manifest, files: Sequence[Path], *, wait_s: float
) -> tuple[DriftFacts, ScoreHistogram | None]:
    before = baseline(fetch_artifact(plan.model, Path(plan.cache_root)))
    training = None if before is None else before.to_json()
    earlier = read_profiles(earlier_runs(plan, plan.spec.drift.window_days, wait_s=wait_s))
    output = plan.spec.output.column
    score = score_histogram(files, output, baseline=training["columns"].get(output) if training else None)
    return measure_drift(plan, manifest, training=training, earlier=earlier), score


def _suite(folder: RunFolder, plan: Plan, files: Sequence[Path], *, at: dt.datetime) -> list[CheckResult]:
    suite = load_suite(folder.file(FROZEN_SPEC, plan.spec.checks.audit))
    with folder.writing():
        frame = read_frame(files, columns=suite.needs, where=f"the staged rows of partition {plan.partition}")
        return run_suite(suite, frame, name="audit", docs=folder.file(DOCS), at=at)
