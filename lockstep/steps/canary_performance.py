"""How good champion and challenger were lately, where outcomes are known."""

from lockstep.quality.guardrails import PerformancePair
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings


def recent_performance(plan: Plan, settings: Settings) -> PerformancePair | None:  # noqa: ARG001 - nothing to read yet
    """Return both models' figures over the latest `labelled_days`; none while no outcomes are measured."""
    return None
