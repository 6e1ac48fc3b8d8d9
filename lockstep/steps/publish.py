"""Publish: make the audited rows live and refresh the reporting tables; then their drift beside them.

Last comes the online store, if the spec has one: it follows the ledger, and its failure undoes nothing.
"""

import datetime as dt
from typing import Any

from lockstep.errors import LockstepError, StepOutOfOrder
from lockstep.publish.contract import Warehouse
from lockstep.quality.verdict import Verdict
from lockstep.run.canary import published_digest, published_manifest
from lockstep.run.folder import AUDIT, PUBLICATION, RunFolder
from lockstep.run.plan import Plan
from lockstep.scoring.attempts import remove_strays
from lockstep.specs.settings import Settings
from lockstep.steps.drift_publication import publish_drift
from lockstep.steps.online import load_online
from lockstep.steps.request import publish_request, refusals, warehouse_of


def publish(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Publish the run's partition and write `publication.json`.

    Repeating it is safe at any moment: a run that is live already changes no row and adds a `noop` to the ledger, which
    also heals a crash between the commit and `publication.json`. A refusal that repeating cannot mend is an entry of
    the ledger too.

    Returns:
        Table, rows, rows replaced, outcome, token, changes of the table's columns, rows per reporting table, the newest
        partition that is live (none: the warehouse did not say), whether the run was live (`reused`), and what became
        of the online store.

    Raises:
        StepOutOfOrder: There is no passed audit of this run's manifest.
        PublishError: The warehouse refused, or a reporting query failed. What was live stays.
        OnlineStoreBehind: The rows are live, and the online store could not be loaded with them; repeating loads it.
    """
    plan = folder.plan(step="publish")
    _require_audit(folder, plan)
    warehouse = warehouse_of(plan, settings)
    with folder.timed("publish"):
        request = publish_request(folder, settings, now=dt.datetime.now(dt.UTC))
        with refusals(folder, settings):
            publication = warehouse.publish(request)
        folder.write_json(PUBLICATION, publication)
        publish_drift(folder, warehouse, request)
        # What a host that was cut off while scoring still had to say by now.
        remove_strays(folder, folder.manifest(step="publish").units)
        online = _online(warehouse, plan, settings)
    return {
        "table": publication.table,
        "rows": publication.rows,
        "replaced_rows": publication.replaced_rows,
        "outcome": publication.outcome,
        "token": publication.token,
        "changes": list(publication.changes),
        "reporting": publication.reporting,
        "newest_live": _newest_live(warehouse, publication.table),
        "reused": publication.outcome == "noop",
        **online,
    }


def _online(warehouse: Warehouse, plan: Plan, settings: Settings) -> dict[str, Any]:
    if plan.spec.online is None:
        return {}
    return load_online(warehouse, plan.spec, settings, first=plan.partition).facts(plan.partition)


def _newest_live(warehouse: Warehouse, table: str) -> str | None:
    """Return the newest live partition; a warehouse that is busy by now costs only this answer."""
    try:
        days = [entry.partition for entry in warehouse.history(table) if entry.outcome != "refused"]
    except LockstepError:
        return None
    return max(days).isoformat() if days else None


def _require_audit(folder: RunFolder, plan: Plan) -> None:
    verdict = folder.read_record(AUDIT, Verdict, step="publish")
    digest, manifest = published_digest(folder, step="publish"), published_manifest(folder, step="publish")
    ours = verdict.run_key == manifest.run_key == plan.run_key
    if not (ours and verdict.passed and verdict.manifest_sha256 == digest):
        raise StepOutOfOrder("publish", needs="a passed audit of this run's manifest", folder=str(folder.path))
