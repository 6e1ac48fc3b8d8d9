"""Shadow: publish each challenger's rows to a table of its own, after the champion's are live."""

import datetime as dt
from typing import Any

from lockstep.errors import CheckFailed, LockstepError, ShadowFailed, StepOutOfOrder
from lockstep.publish.contract import Publication, Warehouse
from lockstep.quality import invariants
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.metrics import repeated_keys
from lockstep.quality.results import CheckResult
from lockstep.quality.rows import staged_rows
from lockstep.quality.verdict import Verdict, passed
from lockstep.run.comparison import Comparison
from lockstep.run.folder import AUDIT, COMPARISON, MANIFEST, PUBLICATION, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan
from lockstep.run.trials import FAILURE, reason_of
from lockstep.specs.settings import Settings
from lockstep.steps.request import publish_request, warehouse_of

KEYS = "keys"


def shadow(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Publish the challengers' rows and write `publication.json` of each; repeating it changes nothing.

    The suites and drift limits of the spec do not hold for a challenger, the invariants do: every row accounted for, by
    files that are what was scored, of this model and this day, each key once. A challenger without a result is passed
    over.

    Returns:
        Rows by shadow table, and for each challenger what became of it.

    Raises:
        StepOutOfOrder: The champion's rows were not published.
        ShadowFailed: Rows of a challenger could not be published; those of the others are.
    """
    plan = folder.plan(step="shadow")
    trial = plan.spec.trial
    if trial is None:
        return {"rows": 0, "challengers": {}}
    if not folder.has(PUBLICATION):
        raise StepOutOfOrder("shadow", needs=PUBLICATION, folder=str(folder.path))
    done: dict[str, dict[str, Any]] = {}
    failed: dict[str, LockstepError] = {}
    with folder.timed("shadow"):
        for challenger in trial.challengers:
            table, own = challenger.shadow_table(plan.spec.publish.table), folder.challenger(challenger.alias)
            try:
                done[challenger.alias] = _shadowed(folder, own, table=table, settings=settings)
            except LockstepError as error:
                failed[table] = error
    if failed:
        reasons = {table: _reason(error) for table, error in failed.items()}
        raise ShadowFailed(reasons, retryable=any(error.retryable for error in failed.values()))
    return {"rows": sum(one.get("rows", 0) for one in done.values()), "challengers": done}


def _shadowed(folder: RunFolder, own: RunFolder, *, table: str, settings: Settings) -> dict[str, Any]:
    if (why := _nothing(own)) is not None:
        return {"table": table, "outcome": "passed over", "reason": why}
    plan = own.plan(step="shadow")
    warehouse = warehouse_of(plan, settings)
    _audit(folder, own, plan).stop_if_failed(str(own.file(AUDIT)))
    publication = _publish(own, warehouse, table=table, settings=settings)
    own.write_json(PUBLICATION, publication)
    return {"table": table, "outcome": publication.outcome, "rows": publication.rows, "version": plan.model.version}


def _nothing(own: RunFolder) -> str | None:
    """Return why there is nothing to publish, if that is so."""
    if own.has(MANIFEST) and not own.has(FAILURE):
        return None
    if own.has(COMPARISON):
        return own.read_record(COMPARISON, Comparison, step="shadow").failure
    return "this day was scored without it"


def _reason(error: LockstepError) -> str:
    return "; ".join(error.failures) if isinstance(error, CheckFailed) else reason_of(error)


def _publish(own: RunFolder, warehouse: Warehouse, *, table: str, settings: Settings) -> Publication:
    return warehouse.publish(publish_request(own, settings, now=dt.datetime.now(dt.UTC), shadow=table))


def _audit(folder: RunFolder, own: RunFolder, plan: Plan) -> Verdict:
    """Check the invariants of a challenger's rows, or return what an earlier check of the same manifest said."""
    digest, manifest = file_sha256(own.file(MANIFEST)), own.manifest(step="shadow")
    if own.has(AUDIT):
        before = own.read_record(AUDIT, Verdict, step="shadow")
        if before.passed and before.manifest_sha256 == digest:
            return before
    results = _results(folder, own, plan=plan, manifest=manifest)
    verdict = Verdict(
        stage="audit",
        run_key=plan.run_key,
        partition=plan.partition,
        passed=passed(results),
        checked_at=dt.datetime.now(dt.UTC),
        rows=manifest.rows_staged,
        manifest_sha256=digest,
        engine=EMBEDDED.name,
        results=tuple(results),
    )
    own.write_json(AUDIT, verdict)
    return verdict


def _results(folder: RunFolder, own: RunFolder, *, plan: Plan, manifest: Manifest) -> list[CheckResult]:
    results = invariants.accounted_rows(manifest, folder.scoring_input(step="shadow"))
    results += invariants.unchanged_files(manifest, own.path)
    files = [own.file(unit.staged) for unit in manifest.units]
    if not files or not all(result.success for result in results):
        return results
    local = [own.local(unit.staged) for unit in manifest.units]
    results.append(invariants.staged_columns(invariants.shapes_of(local), plan))
    if not results[-1].success:
        return results
    facts = invariants.read_stamps(local, partition_column=plan.spec.partition.column)
    key, rows = plan.spec.key, staged_rows(files, where=f"the rows of challenger {own.path.name}")
    with EMBEDDED.measuring(rows, names=key) as measured:
        columns = tuple(measured.columns[name] for name in key)
        repeats = measured.answer({KEYS: repeated_keys(columns)})[KEYS]
    return results + invariants.staged_rows(facts, plan, manifest, root=own.path, repeated_keys=repeats)
