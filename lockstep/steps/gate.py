"""Gate: is the input fit to be scored?"""

import datetime as dt
from typing import Any

from lockstep.quality.ahead import questions_ahead
from lockstep.quality.expectations import Decision
from lockstep.quality.limits import fewest_rows
from lockstep.quality.loading import loading_ahead
from lockstep.quality.measurement import Engine
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.rows import input_rows
from lockstep.quality.samples import with_samples
from lockstep.quality.suites import load_suite
from lockstep.quality.verdict import Verdict, passed
from lockstep.run.folder import GATE, RunFolder
from lockstep.specs.settings import Settings
from lockstep.steps.checking import checked
from lockstep.steps.request import refusals
from lockstep.storage.files import scratch

DOCS = "gx/gate"
FROZEN_SPEC = "spec"


def gate(folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Check the materialised input against the spec's gate suite and write `gate.json`.

    Returns:
        Rows, checks, warnings and whether an earlier passed result was `reused`.

    Raises:
        CheckFailed: A critical check failed.
        ColumnMissing: The suite names a column that the input does not have.
    """
    earlier = _earlier(folder)
    if earlier is not None:
        return earlier.summary(reused=True)
    with folder.timed("gate"):
        rows = folder.scoring_input(step="gate").rows
        verdict = checked(
            "gate",
            rows,
            folder=folder,
            settings=settings,
            here=lambda: check_input(folder, EMBEDDED),
            earlier=lambda: _earlier(folder),
        )
    with refusals(folder, settings):
        verdict.stop_if_failed(str(folder.file(DOCS, "index.html")))
    return verdict.summary(reused=False)


def _earlier(folder: RunFolder) -> Verdict | None:
    """Return the verdict that an earlier attempt passed with."""
    plan = folder.plan(step="gate")
    found = folder.read_record(GATE, Verdict, step="gate") if folder.has(GATE) else None
    return found if found and found.passed and found.run_key == plan.run_key else None


def check_input(folder: RunFolder, engine: Engine) -> Verdict:
    """Check the input with an engine and write `gate.json` and the data docs."""
    with loading_ahead():
        verdict = _checked(folder, engine)
    folder.write_json(GATE, verdict)
    return verdict


def _checked(folder: RunFolder, engine: Engine) -> Verdict:
    plan, scoring_input = folder.plan(step="gate"), folder.scoring_input(step="gate")
    suite = load_suite(folder.local(f"{FROZEN_SPEC}/{plan.spec.checks.gate}"), gate=True)
    now = dt.datetime.now(dt.UTC)
    where = f"the input of partition {plan.partition}"
    rows = input_rows(
        folder.path, scoring_input, columns=(*suite.needs, *plan.spec.key), limits=plan.spec.limits, where=where
    )
    key = [name for name in plan.spec.key if name in rows.schema.names]
    with folder.writing(), engine.measuring(rows, names=(*suite.needs, *key)) as measured:
        measured.answer(questions_ahead(suite.checks, measured.columns))
        decision = Decision(suite)
        answers = measured.answer(decision.questions(measured.columns))
        docs = scratch() / DOCS
        found = decision.results(answers, name="gate", docs=docs, at=now)
        folder.hand_in_tree(docs, DOCS)
        found = with_samples(
            found,
            suite.checks,
            measured=measured,
            key=key,
            sensitive=plan.spec.sensitive,
            rows=plan.spec.checks.samples,
        )
    results = [fewest_rows(scoring_input.rows, plan.spec.limits), *found]
    return Verdict(
        stage="gate",
        run_key=plan.run_key,
        partition=plan.partition,
        passed=passed(results),
        checked_at=now,
        rows=scoring_input.rows,
        engine=engine.name,
        docs=f"{DOCS}/index.html",
        results=tuple(results),
    )
