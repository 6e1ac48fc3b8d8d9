"""Publish: make the audited rows live, then refresh the reporting tables."""

import datetime as dt
from pathlib import Path
from typing import Any

from lockstep.errors import StepOutOfOrder
from lockstep.publish.contract import PublishRequest, StagedFile, Warehouse
from lockstep.publish.reporting import reporting_tables
from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, MANIFEST, PUBLICATION, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings

FROZEN_SPEC = "spec"


def publish(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Publish the run's partition and write `publication.json`.

    Repeating it is safe at any moment: a run that is live already changes no row and adds a `noop` to the ledger, which
    also heals a crash between the commit and `publication.json`.

    Returns:
        Table, rows, rows replaced, outcome, token, rows per reporting table, and whether the run was live (`reused`).

    Raises:
        StepOutOfOrder: There is no passed audit of this run's manifest.
        PublishError: The warehouse refused, or a reporting query failed (the scores are live then).
    """
    plan = folder.plan(step="publish")
    _require_audit(folder, plan)
    warehouse = open_warehouse(plan.spec.publish.warehouse, plan.warehouse, wait_s=settings.warehouse_wait_s)
    with folder.timed("publish"):
        publication = warehouse.publish(_request(folder, plan, now=dt.datetime.now(dt.UTC)))
        folder.write_json(PUBLICATION, publication)
        reporting = _refresh_reporting(folder, plan, warehouse)
    return {
        "table": publication.table,
        "rows": publication.rows,
        "replaced_rows": publication.replaced_rows,
        "outcome": publication.outcome,
        "token": publication.token,
        "reporting": reporting,
        "reused": publication.outcome == "noop",
    }


def _refresh_reporting(folder: RunFolder, plan: Plan, warehouse: Warehouse) -> dict[str, int]:
    queries = {name: folder.file(FROZEN_SPEC, file) for name, file in plan.spec.reporting.items()}
    tables = reporting_tables(plan.spec, queries, data_root=Path(plan.data_root))
    return {table.name: warehouse.refresh_reporting(table, [plan.partition]) for table in tables}


def _require_audit(folder: RunFolder, plan: Plan) -> None:
    verdict = folder.read_record(AUDIT, Verdict, step="publish")
    manifest = folder.manifest(step="publish")
    ours = verdict.run_key == manifest.run_key == plan.run_key
    if not (ours and verdict.passed and verdict.manifest_sha256 == file_sha256(folder.file(MANIFEST))):
        raise StepOutOfOrder("publish", needs="a passed audit of this run's manifest", folder=str(folder.path))


def _request(folder: RunFolder, plan: Plan, *, now: dt.datetime) -> PublishRequest:
    manifest = folder.manifest(step="publish")
    claim = folder.claim(step="publish")
    files = [StagedFile(folder.file(u.staged), size_bytes=u.size_bytes, sha256=u.sha256) for u in manifest.units]
    return PublishRequest(
        table=plan.spec.publish.table,
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
        files=files,
        rows=manifest.rows_staged,
        now=now,
    )
