"""Audit: is what was staged the whole, exact and plausible result of the plan?"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.publish.warehouse import open_warehouse
from lockstep.quality import invariants
from lockstep.quality.drift import ColumnDrift, drift_of
from lockstep.quality.expectations import Decision
from lockstep.quality.histogram import ScoreHistogram, score_histogram
from lockstep.quality.limits import drift_warnings, quarantined_fraction, score_drift
from lockstep.quality.measuring import measuring
from lockstep.quality.metrics import repeated_keys
from lockstep.quality.reference import Reference, previous_of
from lockstep.quality.results import CheckResult
from lockstep.quality.rows import Rows, input_rows, staged_rows
from lockstep.quality.samples import with_samples
from lockstep.quality.suites import Suite, load_suite
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
LEDGER = "lockstep_ledger"  # of every warehouse


def audit(folder: RunFolder, settings: Settings) -> dict[str, Any]:
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
        verdict = _check(folder, wait_s=settings.warehouse_wait_s)
        folder.write_json(AUDIT, verdict)
    verdict.stop_if_failed(str(folder.file(AUDIT)))
    return verdict.summary(reused=False)


def _check(folder: RunFolder, *, wait_s: float) -> Verdict:
    plan, manifest = folder.plan(step="audit"), folder.manifest(step="audit")
    digest, now = file_sha256(folder.file(MANIFEST)), dt.datetime.now(dt.UTC)
    results, readable = _invariants(folder, plan, manifest)
    drift: list[ColumnDrift] = []
    score: ScoreHistogram | None = None
    suite_results: list[CheckResult] = []
    if readable:
        files = [folder.file(unit.staged) for unit in manifest.units]
        facts = invariants.read_stamps(files, partition_column=plan.spec.partition.column)
        suite = load_suite(folder.file(FROZEN_SPEC, plan.spec.checks.audit))
        before = previous_run(plan, wait_s=wait_s) if "previous" in suite.against else None
        reference = _reference(folder, plan, manifest, previous=before)
        repeats, suite_results = _measured(folder, plan, files, suite=suite, reference=reference, at=now)
        results += invariants.staged_rows(facts, plan, manifest, root=folder.path, repeated_keys=repeats)
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


def _training(plan: Plan) -> dict[str, Any] | None:
    before = baseline(fetch_artifact(plan.model, Path(plan.cache_root)))
    return None if before is None else before.to_json()


def _drift(plan: Plan, manifest: Manifest, files: Sequence[Path]) -> tuple[list[ColumnDrift], ScoreHistogram | None]:
    output, training = plan.spec.output.column, _training(plan)
    if training is None:
        return [], score_histogram(files, output, baseline=None)
    drift = drift_of(training, manifest.profile) if manifest.profile else []
    return drift, score_histogram(files, output, baseline=training["columns"].get(output))


def _drift_results(drift: Sequence[ColumnDrift], plan: Plan) -> list[CheckResult]:
    scored = score_drift(drift, plan.spec.output.column, plan.spec.limits)
    return [*([scored] if scored else []), *drift_warnings(drift, plan.spec.output.column, plan.spec.limits)]


def _measured(
    folder: RunFolder, plan: Plan, files: Sequence[Path], *, suite: Suite, reference: Reference, at: dt.datetime
) -> tuple[int, list[CheckResult]]:
    """Return how many keys repeat and what the suite says; both are measured together."""
    rows = staged_rows(files, where=f"the staged rows of partition {plan.partition}")
    decision = Decision(suite)
    names = (*suite.needs, *plan.spec.key, plan.spec.output.column)
    with folder.writing(), measuring(rows, names=names) as measured:
        key = tuple(measured.columns[name] for name in plan.spec.key)
        asked = decision.questions(measured.columns, reference=reference)
        found = measured.answer({KEYS: repeated_keys(key), **asked})
        results = decision.results(found, name="audit", docs=folder.file(DOCS), at=at)
        results = with_samples(
            results,
            suite.checks,
            measured=measured,
            key=plan.spec.key,
            sensitive=plan.spec.sensitive,
            rows=plan.spec.checks.samples,
        )
        return found[KEYS], results


def _reference(folder: RunFolder, plan: Plan, manifest: Manifest, *, previous: RunFolder | None) -> Reference:
    before, key = _training(plan), plan.spec.key
    where, limits = f"the input of partition {plan.partition}", plan.spec.limits

    def read_input() -> Rows:
        return input_rows(folder.path, folder.scoring_input(step="audit"), columns=key, limits=limits, where=where)

    bad = [folder.file(unit.quarantined) for unit in manifest.units if unit.quarantined]
    return Reference(
        manifest=manifest,
        key=key,
        output=plan.spec.output.column,
        training=before,
        previous=previous_of(previous),
        read_input=read_input,
        quarantined=bad if plan.spec.output.errors is None else [],
    )


def previous_run(plan: Plan, *, wait_s: float) -> RunFolder | None:
    """Return the folder of the latest earlier partition of the table that is live, if there is one and it is there.

    Args:
        plan: Of this run; a rerun or a backfill is compared with the latest partition before its own.
        wait_s: How long to wait for another process that holds the warehouse, in seconds.
    """
    warehouse = open_warehouse(plan.spec.publish.warehouse, plan.warehouse, wait_s=wait_s)
    if LEDGER not in warehouse.tables():
        return None
    names, rows = warehouse.read_table(LEDGER, limit=None)
    entries = [dict(zip(names, row, strict=True)) for row in rows]
    earlier = [
        entry
        for entry in entries
        if entry["table_name"] == plan.spec.publish.table and entry["partition_date"] < plan.partition
    ]
    if not earlier:
        return None
    live = max(earlier, key=lambda entry: (entry["partition_date"], entry["token"], entry["entry"]))
    folder = RunFolder(Path(live["run_folder"]))
    return folder if folder.has(MANIFEST) else None
