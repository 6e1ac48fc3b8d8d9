"""The steps of a scoring run, in order; each works from the run folder alone and may be run again at any time."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lockstep.run.folder import RunFolder
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec

StepFunction = Callable[[RunFolder, Settings], dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """Where a step lives and what it is for."""

    target: str
    help: str


# After `plan`, which makes the run folder. Imported only when run: each needs other heavy libraries.
STEPS = {
    "materialize": Step("lockstep.steps.materialize:materialize", "Run the feature query once (Spark)."),
    "gate": Step("lockstep.steps.gate:gate", "Check the input with Great Expectations."),
    "score": Step("lockstep.steps.materialize:score", "Score every work unit (Spark)."),
    "canary": Step("lockstep.steps.canary:canary", "Let the challenger answer for its share of the rows."),
    "audit": Step("lockstep.steps.audit:audit", "Check the staged scores, the invariants and drift."),
    "publish": Step(
        "lockstep.steps.publish:publish", "Make the scores live in one transaction, then refresh the reporting tables."
    ),
    "report": Step("lockstep.steps.report:report", "Write report.html, also after a failed check."),
}


def steps_of(spec: ScoringSpec) -> list[str]:
    """Return the names of the steps that runs of a spec have, in order."""
    has_canary = spec.trial is not None and spec.trial.canary is not None
    return [name for name in STEPS if name != "canary" or has_canary]


def load_step(name: str) -> StepFunction:
    """Return the function of a step."""
    module, function = STEPS[name].target.split(":")
    step: StepFunction = getattr(import_module(module), function)
    return step
