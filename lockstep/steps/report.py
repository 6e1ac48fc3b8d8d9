"""Report: the page that a person reads, for a run that ended well or not."""

import datetime as dt
import logging
from typing import Any

from lockstep.errors import LockstepError
from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.performance_table import PerformanceRow, read_performance
from lockstep.report.facts import headline, read_facts
from lockstep.report.page import render
from lockstep.report.performance_view import WINDOW_DAYS
from lockstep.run.folder import REPORT, RunFolder
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings

# The page is no reason to keep anybody waiting who publishes.
WAIT_S = 2.0

log = logging.getLogger("lockstep.report")


def report(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Write `report.html` from what the run folder has so far; every call writes it anew.

    Returns:
        Path of the page and the verdict in a few words.
    """
    with folder.timed("report"):
        facts = read_facts(folder)
        performance = earlier_performance(facts.plan, settings)
        folder.write_text(REPORT, render(facts, now=dt.datetime.now(dt.UTC), performance=performance))
    return {"report": str(folder.file(REPORT)), "verdict": headline(facts).word, "reused": False}


def earlier_performance(plan: Plan, settings: Settings) -> list[PerformanceRow]:
    """Return what was measured of the days before a plan's; nothing when the warehouse does not say."""
    if plan.spec.labels is None:
        return []
    before = plan.partition - dt.timedelta(days=1)
    since = plan.partition - dt.timedelta(days=WINDOW_DAYS)
    wait_s = min(WAIT_S, settings.warehouse_wait_s)
    try:
        warehouse = open_warehouse(plan.spec.publish.warehouse, plan.warehouse, wait_s=wait_s)
        return read_performance(warehouse, plan.spec.publish.table, since=since, until=before)
    except LockstepError as error:
        log.info("the report has no performance section: %s", error)
        return []
