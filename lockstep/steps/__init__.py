"""The steps of a scoring run, in order; each works from the run folder alone and may be run again at any time."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings

StepFunction = Callable[[RunFolder, Settings], dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """Where a step lives and what it is for."""

    target: str
    help: str
    on_trial: bool = False  # only of runs with challengers


# After `plan`, which makes the run folder. Imported only when run: each needs other heavy libraries.
STEPS = {
    "materialize": Step("lockstep.steps.materialize:materialize", "Run the feature query once (Spark)."),
    "gate": Step("lockstep.steps.gate:gate", "Check the input with Great Expectations."),
    "score": Step("lockstep.steps.materialize:score", "Score every work unit (Spark)."),
    "compare": Step("lockstep.steps.compare:compare", "Compare challengers with the champion.", on_trial=True),
    "canary": Step("lockstep.steps.canary:canary", "Let the challenger answer for its share of the rows."),
    "audit": Step("lockstep.steps.audit:audit", "Check the staged scores, the invariants and drift."),
    "publish": Step(
        "lockstep.steps.publish:publish", "Make the scores live in one transaction, then refresh the reporting tables."
    ),
    "shadow": Step("lockstep.steps.shadow:shadow", "Publish challengers' rows to shadow tables.", on_trial=True),
    "report": Step("lockstep.steps.report:report", "Write report.html, also after a failed check."),
}


def steps_of(plan: Plan) -> list[str]:
    """Return the steps of a run after its plan, in order."""
    trial = plan.spec.trial
    without = {name for name, step in STEPS.items() if step.on_trial} if trial is None else set()
    without |= {"canary"} if trial is None or trial.canary is None else set()
    return [name for name in STEPS if name not in without]


def load_step(name: str) -> StepFunction:
    """Return the function of a step."""
    module, function = STEPS[name].target.split(":")
    step: StepFunction = getattr(import_module(module), function)
    return step
