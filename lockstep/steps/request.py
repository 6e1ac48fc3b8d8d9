"""From a run folder to what a warehouse is asked for."""

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator, Sequence

from lockstep.errors import CheckFailed, LockstepError, PublishError
from lockstep.publish.contract import PublishRequest, ReportingTable, StagedFile, Warehouse
from lockstep.publish.reporting import reporting_tables
from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.verdict import Verdict
from lockstep.run.canary import published_manifest, read_canary
from lockstep.run.folder import AUDIT, CLAIM, MANIFEST, RunFolder
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings
from lockstep.storage.files import Location, location
from lockstep.storage.objects import ObjectPath

FROZEN_SPEC = "spec"

log = logging.getLogger("lockstep.publish")


def warehouse_of(plan: Plan, settings: Settings) -> Warehouse:
    """Open the warehouse that a run was planned for."""
    return open_warehouse(plan.spec.publish.warehouse, plan.warehouse, wait_s=settings.warehouse_wait_s)


def publish_request(
    folder: RunFolder, settings: Settings, *, now: dt.datetime, shadow: str | None = None
) -> PublishRequest:
    """Describe the publication of a run: of its staged files, when it has got that far.

    Args:
        folder: The run.
        settings: Who is at work.
        now: Time that the ledger records.
        shadow: Table of a challenger's rows, which refreshes no reporting table; none: the spec's published table.

    Raises:
        StepOutOfOrder: There is no plan or no claim.
    """
    plan, claim = folder.plan(step="publish"), folder.claim(step="publish")
    manifest = published_manifest(folder, step="publish") if folder.has(MANIFEST) else None
    units = manifest.units if manifest else ()
    return PublishRequest(
        table=shadow or plan.spec.publish.table,
        partition_column=plan.spec.partition.column,
        partition=plan.partition,
        run_key=plan.run_key,
        token=claim.token,
        spec=plan.spec.name,
        spec_hash=plan.spec_hash,
        model_name=plan.model.name,
        model_version=plan.model.version,
        model_digest=plan.model.digest,
        code_version=plan.code_version,
        run_folder=str(folder.path),
        files=[
            StagedFile(path, size_bytes=unit.size_bytes, sha256=unit.sha256, origin=_in_store(folder.file(unit.staged)))
            for path, unit in zip(folder.local_files([unit.staged for unit in units]), units, strict=True)
        ],
        rows=manifest.rows_staged if manifest else 0,
        now=now,
        actor=settings.actor,
        checks=_checks(folder, plan),
        reporting=() if shadow else frozen_reporting(folder, plan),
        tell=lambda change: log.warning("table %s: %s", shadow or plan.spec.publish.table, change),
    )


def _in_store(path: Location) -> ObjectPath | None:
    return path if isinstance(path, ObjectPath) else None


def frozen_reporting(folder: RunFolder, plan: Plan) -> Sequence[ReportingTable]:
    """Return the reporting tables with the queries that the plan froze."""
    queries = {name: folder.local(f"{FROZEN_SPEC}/{file}") for name, file in plan.spec.reporting.items()}
    return reporting_tables(plan.spec, queries, data_root=location(plan.data_root))


@contextlib.contextmanager
def refusals(folder: RunFolder, settings: Settings) -> Iterator[None]:
    """Tell the ledger when the body stops the run for good, and why; what may do when repeated is none of it.

    A warehouse that cannot be told keeps no error from the user.
    """
    try:
        yield
    except (CheckFailed, PublishError) as error:
        if not error.retryable:
            _record_refusal(folder, settings, error)
        raise


def _record_refusal(folder: RunFolder, settings: Settings, error: LockstepError) -> None:
    if not folder.has(CLAIM):
        return
    try:
        request = publish_request(folder, settings, now=dt.datetime.now(dt.UTC))
        warehouse_of(folder.plan(step="publish"), settings).refuse(request, str(error))
    except LockstepError as unheard:
        log.warning("the ledger was not told of this refusal: %s", unheard)


def _checks(folder: RunFolder, plan: Plan) -> str:
    if not folder.has(AUDIT):
        return ""
    results = folder.read_record(AUDIT, Verdict, step="publish").results
    failed = [result for result in results if not result.success]
    warnings = sum(result.severity == "warning" for result in failed)
    mixture = read_canary(folder, plan, step="publish")
    canary = f"{mixture.text}; " if mixture else ""
    good = f"{canary}{len(results) - len(failed)} of {len(results)} checks passed"
    return f"{good}, {warnings} warning{'s' if warnings != 1 else ''}" if failed else good
