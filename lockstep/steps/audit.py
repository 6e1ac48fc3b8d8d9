"""Audit: is what was staged the whole, exact and plausible result of the plan?"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.quality import invariants
from lockstep.quality.drift import ColumnDrift, drift_of
from lockstep.quality.expectations import Decision
from lockstep.quality.histogram import ScoreHistogram, score_histogram
from lockstep.quality.limits import drift_warnings, quarantined_fraction, score_drift
from lockstep.quality.measuring import measuring
from lockstep.quality.metrics import repeated_keys
from lockstep.quality.results import CheckResult
from lockstep.quality.rows import staged_rows
from lockstep.quality.suites import load_suite
from lockstep.quality.verdict import Verdict, passed
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.loading import baseline
from lockstep.run.folder import AUDIT, MANIFEST, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings

DOCS = "gx/audit"
FROZEN_SPEC = "spec"
KEYS = "keys"


def audit(folder: RunFolder, settings: Settings) -> dict[str, Any]:  # noqa: ARG001 - every step has this shape
    """Check invariants, limits, drift and the spec's audit suite on the staged bytes, and write `audit.json`.

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
        verdict = _check(folder)
        folder.write_json(AUDIT, verdict)
    verdict.stop_if_failed(str(folder.file(AUDIT)))
    return verdict.summary(reused=False)


def _check(folder: RunFolder) -> Verdict:
    plan, manifest = folder.plan(step="audit"), folder.manifest(step="audit")
    digest, now = file_sha256(folder.file(MANIFEST)), dt.datetime.now(dt.UTC)
    results, readable = _invariants(folder, plan, manifest)
    drift: list[ColumnDrift] = []
    score: ScoreHistogram | None = None
    suite_results: list[CheckResult] = []
    if readable:
        files = [folder.file(unit.staged) for unit in manifest.units]
        facts = invariants.read_stamps(files, partition_column=plan.spec.partition.column)
        repeated_keys, suite_results = _measured(folder, plan, files, at=now)
        results += invariants.staged_rows(facts, plan, manifest, root=folder.path, repeated_keys=repeated_keys)
        drift, score = _drift(plan, manifest, files)
    results.append(quarantined_fraction(manifest, plan.spec.limits))
    results += [*_drift_results(drift, plan), *suite_results]
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
        drift=tuple(drift),
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
    return results, shape.success


def _drift(plan: Plan, manifest: Manifest, files: Sequence[Path]) -> tuple[list[ColumnDrift], ScoreHistogram | None]:
    output = plan.spec.output.column
    before = baseline(fetch_artifact(plan.model, Path(plan.cache_root)))
    if before is None:
        return [], score_histogram(files, output, baseline=None)
    training = before.to_json()
    drift = drift_of(training, manifest.profile) if manifest.profile else []
    return drift, score_histogram(files, output, baseline=training["columns"].get(output))


def _drift_results(drift: Sequence[ColumnDrift], plan: Plan) -> list[CheckResult]:
    scored = score_drift(drift, plan.spec.output.column, plan.spec.limits)
    return [*([scored] if scored else []), *drift_warnings(drift, plan.spec.output.column, plan.spec.limits)]


def _measured(
    folder: RunFolder, plan: Plan, files: Sequence[Path], *, at: dt.datetime
) -> tuple[int, list[CheckResult]]:
    """Return how many keys repeat and what the suite says; both are measured together."""
    suite = load_suite(folder.file(FROZEN_SPEC, plan.spec.checks.audit))
    rows = staged_rows(files, where=f"the staged rows of partition {plan.partition}")
    decision = Decision(suite)
    with folder.writing(), measuring(rows, names=(*suite.needs, *plan.spec.key)) as measured:
        key = tuple(measured.columns[name] for name in plan.spec.key)
        found = measured.answer({KEYS: repeated_keys(key), **decision.questions(measured.columns)})
        return found[KEYS], decision.results(found, name="audit", docs=folder.file(DOCS), at=at)
