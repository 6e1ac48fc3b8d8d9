"""Report: the page that a person reads, for a run that ended well or not."""

import datetime as dt
from typing import Any

from lockstep.report.facts import headline, read_facts
from lockstep.report.page import render
from lockstep.run.folder import REPORT, RunFolder
from lockstep.specs.settings import Settings


def report(folder: RunFolder, settings: Settings) -> dict[str, Any]:  # noqa: ARG001 - every step has this shape
    """Write `report.html` from what the run folder has so far; every call writes it anew.

    Returns:
        Path of the page and the verdict in a few words.
    """
    with folder.timed("report"):
        facts = read_facts(folder)
        folder.write_text(REPORT, render(facts, now=dt.datetime.now(dt.UTC)))
    return {"report": str(folder.file(REPORT)), "verdict": headline(facts).word, "reused": False}
