"""How good champion and challenger were lately, where outcomes are known."""

import datetime as dt
from collections.abc import Sequence

from lockstep.quality.guardrails import Performance, PerformancePair
from lockstep.quality.performance_table import PUBLISHED, PerformanceRow, read_performance
from lockstep.run.plan import Plan
from lockstep.specs.settings import Settings
from lockstep.steps.request import warehouse_of

# How far back labelled days are looked for.
MOST_DAYS = 60


def recent_performance(plan: Plan, settings: Settings) -> PerformancePair | None:
    """Return both models' figures over the latest `labelled_days` days; none where nothing measures outcomes.

    Raises:
        PublishError: The warehouse cannot be read.
    """
    rules = plan.spec.trial.canary.guardrails if plan.spec.trial and plan.spec.trial.canary else None
    if rules is None or (rules.max_auc_drop is None and rules.max_log_loss_rise is None):
        return None
    since, until = plan.partition - dt.timedelta(days=MOST_DAYS), plan.partition - dt.timedelta(days=1)
    warehouse = warehouse_of(plan, settings)
    return pair_of(read_performance(warehouse, plan.spec.publish.table, since=since, until=until), plan)


def pair_of(rows: Sequence[PerformanceRow], plan: Plan) -> PerformancePair | None:
    """Pool the latest days of which both models have figures: the champion's published rows, the challenger's own.

    Args:
        rows: Of the performance table, of any days.
        plan: A run with a canary; only days before its own count.

    Returns:
        Both models' figures over at most `guardrails.labelled_days` days; none when there is no such day.
    """
    planned, canary = plan.canary, plan.spec.trial.canary if plan.spec.trial else None
    if planned is None or canary is None:
        return None
    wanted = {(PUBLISHED, plan.model.version): "champion", (planned.alias, planned.version): "challenger"}
    days: dict[dt.date, dict[str, PerformanceRow]] = {}
    for row in rows:
        side = wanted.get((row.arm, row.model_version))
        if side is not None and row.is_whole_day and row.measured_count and row.partition_date < plan.partition:
            days.setdefault(row.partition_date, {})[side] = row
    whole = sorted(day for day, sides in days.items() if len(sides) == len(wanted))
    latest = [days[day] for day in whole[-canary.guardrails.labelled_days :]]
    if not latest:
        return None
    return PerformancePair(*(_pooled([sides[side] for sides in latest]) for side in ("champion", "challenger")))


def _pooled(rows: Sequence[PerformanceRow]) -> Performance:
    """Weight log loss by rows, and AUC by pairs of a positive and a negative row within a day."""
    pairs = [(row.positive_count or 0) * (row.measured_count - (row.positive_count or 0)) for row in rows]
    counts = [row.measured_count for row in rows]
    auc, log_loss = [row.auc for row in rows], [row.log_loss for row in rows]
    return Performance(sum(counts), _mean(auc, pairs), _mean(log_loss, counts))


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
