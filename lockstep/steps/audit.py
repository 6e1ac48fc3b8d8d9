"""Audit: is what was staged the whole, exact and plausible result of the plan?"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.publish.contract import Publication
from lockstep.quality import invariants
from lockstep.quality.ahead import questions_ahead
from lockstep.quality.drift_limits import drift_results
from lockstep.quality.expectations import Decision
from lockstep.quality.histogram import ScoreHistogram, score_histogram
from lockstep.quality.limits import quarantined_fraction
from lockstep.quality.loading import loading_ahead
from lockstep.quality.measurement import Engine
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.metrics import repeated_keys
from lockstep.quality.mixture import count_arms, mixture_results
from lockstep.quality.reference import Reference, previous_of
from lockstep.quality.results import CheckResult
from lockstep.quality.rows import Rows, input_rows, staged_rows
from lockstep.quality.samples import with_samples
from lockstep.quality.suites import Suite, load_suite
from lockstep.quality.verdict import Verdict, passed
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.loading import baseline
from lockstep.run.canary import published_digest, published_manifest, read_canary
from lockstep.run.folder import AUDIT, RunFolder
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings
from lockstep.steps.checking import checked
from lockstep.steps.drift_references import (
    DriftFacts,
    earlier_publications,
    earlier_runs,
    measure_drift,
    read_profiles,
    write_drift,
)
from lockstep.steps.request import refusals
from lockstep.storage.files import Location, scratch

DOCS = "gx/audit"
FROZEN_SPEC = "spec"
KEYS = "keys"


def audit(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Check invariants, limits, drift and the suite on the staged bytes; write `drift.parquet` and `audit.json`.

    Returns:
        Rows, checks, warnings and whether an earlier passed result for the same manifest was `reused`.

    Raises:
        CheckFailed: A critical check failed.
        ColumnMissing: The suite names a column that the staged rows do not have.
    """
    folder.manifest(step="audit")
    earlier = _earlier(folder)
    if earlier is not None:
        return earlier.summary(reused=True)
    with folder.timed("audit"):
        rows = published_manifest(folder, step="audit").rows_staged
        verdict = checked(
            "audit",
            rows,
            folder=folder,
            settings=settings,
            here=lambda: check_staged(folder, settings, EMBEDDED),
            earlier=lambda: _earlier(folder),
        )
    with refusals(folder, settings):
        verdict.stop_if_failed(str(folder.file(AUDIT)))
    return verdict.summary(reused=False)


def _earlier(folder: RunFolder) -> Verdict | None:
    """Return the verdict that an earlier attempt passed with, if it is of the same staged rows."""
    plan = folder.plan(step="audit")
    found = folder.read_record(AUDIT, Verdict, step="audit") if folder.has(AUDIT) else None
    ours = found is not None and found.passed and found.run_key == plan.run_key
    return found if ours and found and found.manifest_sha256 == published_digest(folder, step="audit") else None


def check_staged(folder: RunFolder, settings: Settings, engine: Engine) -> Verdict:
    """Check the staged scores with an engine; write `drift.parquet`, `audit.json` and the data docs."""
    with loading_ahead():
        verdict = _checked(folder, settings, engine)
    write_drift(folder, folder.plan(step="audit"), verdict.drift)
    folder.write_json(AUDIT, verdict)
    return verdict


def _checked(folder: RunFolder, settings: Settings, engine: Engine) -> Verdict:
    plan, manifest = folder.plan(step="audit"), published_manifest(folder, step="audit")
    digest, now = published_digest(folder, step="audit"), dt.datetime.now(dt.UTC)
    mixture = read_canary(folder, plan, step="audit")
    results, readable = _invariants(folder, plan, manifest)
    drift = DriftFacts()
    score: ScoreHistogram | None = None
    suite_results: list[CheckResult] = []
    if readable:
        files = [folder.file(unit.staged) for unit in manifest.units]
        local = folder.local_files([unit.staged for unit in manifest.units])
        facts = invariants.read_stamps(local, partition_column=plan.spec.partition.column)
        suite = load_suite(folder.local(f"{FROZEN_SPEC}/{plan.spec.checks.audit}"))
        earlier = earlier_publications(plan, wait_s=settings.warehouse_wait_s)
        reference = _reference(folder, plan, manifest, earlier=earlier, engine=engine)
        drift, score = _drift(plan, manifest, local, reference=reference, earlier=earlier)
        repeats, suite_results = _measured(folder, plan, files, suite=suite, reference=reference, at=now, engine=engine)
        theirs = mixture.challenger if mixture and mixture.manifest else None
        results += invariants.staged_rows(
            facts, plan, manifest, root=folder.path, repeated_keys=repeats, challenger=theirs
        )
        if mixture is not None and mixture.manifest is not None:
            results += mixture_results(count_arms(local, mixture), plan, mixture)
    results.append(quarantined_fraction(manifest, plan.spec.limits))
    results += [*drift_results(drift.columns, plan.spec, drift.window), *suite_results]
    return Verdict(
        stage="audit",
        run_key=plan.run_key,
        partition=plan.partition,
        passed=passed(results),
        checked_at=now,
        rows=manifest.rows_staged,
        manifest_sha256=digest,
        engine=engine.name,
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
    if not manifest.units or not all(result.success for result in unchanged):
        return results, False
    files = folder.local_files([unit.staged for unit in manifest.units])
    shape = invariants.staged_columns(invariants.shapes_of(files), plan)
    results.append(shape)
    return results, shape.success


def _training(plan: Plan) -> dict[str, Any] | None:
    before = baseline(fetch_artifact(plan.model, Path(plan.cache_root)))
    return None if before is None else before.to_json()


def _drift(
    plan: Plan, manifest: Manifest, files: Sequence[Path], *, reference: Reference, earlier: Sequence[Publication]
) -> tuple[DriftFacts, ScoreHistogram | None]:
    training, output = reference.training, plan.spec.output.column
    days = read_profiles(earlier_runs(plan, earlier))
    score = score_histogram(files, output, baseline=training["columns"].get(output) if training else None)
    return measure_drift(plan, manifest, training=training, earlier=days), score


def _measured(
    folder: RunFolder,
    plan: Plan,
    files: Sequence[Location],
    *,
    suite: Suite,
    reference: Reference,
    at: dt.datetime,
    engine: Engine,
) -> tuple[int, list[CheckResult]]:
    """Return how many keys repeat and what the suite says; most is measured while Great Expectations still loads."""
    rows = staged_rows(files, where=f"the staged rows of partition {plan.partition}")
    names = (*suite.needs, *plan.spec.key, plan.spec.output.column)
    with folder.writing(), engine.measuring(rows, names=names) as measured:
        key = tuple(measured.columns[name] for name in plan.spec.key)
        repeats = measured.answer({KEYS: repeated_keys(key), **questions_ahead(suite.checks, measured.columns)})[KEYS]
        decision = Decision(suite)
        found = measured.answer(decision.questions(measured.columns, reference=reference))
        docs = scratch() / DOCS
        results = decision.results(found, name="audit", docs=docs, at=at)
        folder.hand_in_tree(docs, DOCS)
        results = with_samples(
            results,
            suite.checks,
            measured=measured,
            key=plan.spec.key,
            sensitive=plan.spec.sensitive,
            rows=plan.spec.checks.samples,
        )
        return repeats, results


def _reference(
    folder: RunFolder, plan: Plan, manifest: Manifest, *, earlier: Sequence[Publication], engine: Engine
) -> Reference:
    before, key = _training(plan), plan.spec.key
    where, limits = f"the input of partition {plan.partition}", plan.spec.limits

    def read_input() -> Rows:
        return input_rows(folder.path, folder.scoring_input(step="audit"), columns=key, limits=limits, where=where)

    bad = folder.local_files([unit.quarantined for unit in manifest.units if unit.quarantined])
    return Reference(
        manifest=manifest,
        key=key,
        output=plan.spec.output.column,
        training=before,
        previous=previous_of(RunFolder.at(earlier[-1].run_folder) if earlier else None),
        read_input=read_input,
        quarantined=bad if plan.spec.output.errors is None else [],
        measuring=engine.measuring,
    )
