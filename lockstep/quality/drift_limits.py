"""The limits of a spec on drift, judged: one result for each figure that has a bound, and warnings."""

from collections.abc import Sequence

from lockstep.quality.drift import ColumnDrift, DriftWindow
from lockstep.quality.results import CheckResult
from lockstep.specs.drift_spec import METRICS, Metric, Reference
from lockstep.specs.spec import ScoringSpec

WORDS: dict[Metric, str] = {"psi": "PSI", "js": "JS distance", "ks": "KS distance"}
WHY_SCORE = "scores this far from those of the reference are rarely the world and often a broken input"
WHY_FEATURE = "the model gets other values here than those it was trained or last used on"
WHY_WINDOW = "a few days are no reference: each differs from the next by weekday and weather"
WHY_NULLS = "a source of this feature may not have been loaded"
WHY_DRIFT = "the scores are unlike those of training; look at the features that moved"
WHY_NAMED = "a limit on a column that is not measured can never fail"

# A feature that is null in fewer of the training rows than this, and now in this many points more, has gone missing.
USUALLY_THERE_PERCENT, NULL_JUMP_POINTS = 50.0, 30.0
NEAR_LIMIT = 0.5
SHOWN_FEATURES = 3


def bound_of(spec: ScoringSpec, column: str, *, reference: Reference, metric: Metric) -> float | None:
    """Return the most that a figure may be; none when it is not judged.

    `limits.max_drift_psi` is the bound of the score's index against training unless `drift.score` has its own.
    """
    bound = spec.drift.limits_of(column, score=spec.output.column).of(reference, metric)
    is_old_limit = (column, reference, metric) == (spec.output.column, "training", "psi")
    return spec.limits.max_drift_psi if bound is None and is_old_limit else bound


def drift_results(drift: Sequence[ColumnDrift], spec: ScoringSpec, window: DriftWindow | None) -> list[CheckResult]:
    """Judge what was measured.

    Args:
        drift: Columns against training, and against the trailing window where it is a reference.
        spec: The spec.
        window: The days of the trailing window; none when nothing was measured.

    Returns:
        The score's results, then those of features, then warnings.
    """
    results = [result for column in drift for result in _column_results(column, spec, days=_days(window))]
    results.sort(key=lambda result: (result.target != spec.output.column, result.success))
    training = [column for column in drift if column.reference == "training"]
    return [*results, *_not_judged(drift, spec, window), *_warnings(training, spec)]


def _column_results(column: ColumnDrift, spec: ScoringSpec, *, days: int) -> list[CheckResult]:
    limits = spec.drift.limits_of(column.column, score=spec.output.column)
    results = []
    against = "the training data" if column.reference == "training" else f"the {days} published days before"
    for metric in METRICS:
        own, value = limits.of(column.reference, metric), column.value(metric)
        bound = bound_of(spec, column.column, reference=column.reference, metric=metric)
        if bound is None or value is None:
            continue
        results.append(
            CheckResult(
                kind="limit",
                name="limits.max_drift_psi" if own is None else f"drift.{column.reference}.{metric}",
                target=column.column,
                severity="critical" if own is None else limits.severity,
                success=value <= bound,
                observed=f"{WORDS[metric]} {value:.3f}" + (f" ({column.reading})" if metric == "psi" else ""),
                expected=f"at most {bound:g} against {against}",
                why=WHY_SCORE if column.column == spec.output.column else WHY_FEATURE,
            )
        )
    return results


def _not_judged(drift: Sequence[ColumnDrift], spec: ScoringSpec, window: DriftWindow | None) -> list[CheckResult]:
    """Say which limits had nothing to judge: a window that is too short, a column that is not measured."""
    results = []
    if window is not None and spec.drift.judges_trailing and len(window.days) < spec.drift.min_days:
        observed = f"{len(window.days)} published days in the {spec.drift.window_days} before"
        expected = f"{spec.drift.min_days} or more; with fewer nothing is judged against them"
        # No failure: every table begins with a first day.
        results.append(_note("drift.trailing", "", observed=observed, expected=expected, why=WHY_WINDOW, success=True))
    measured = {column.column for column in drift}
    for name in spec.drift.columns if drift else ():
        if name not in measured:
            expected = "a column of the model's inputs and outputs"
            results.append(_note("drift.columns", name, observed="not measured", expected=expected, why=WHY_NAMED))
    return results


def _warnings(training: Sequence[ColumnDrift], spec: ScoringSpec) -> list[CheckResult]:
    """Warn of a score on its way to its limit, with the features that moved most, and of features suddenly null.

    Drift of features alone is only reported: one day against months of training always shifts by season and weather.
    """
    output = spec.output.column
    features = [column for column in training if column.column != output]
    results = [_emptied(feature) for feature in features if _is_emptied(feature)]
    limit = bound_of(spec, output, reference="training", metric="psi")
    score = next((column for column in training if column.column == output), None)
    if score is not None and limit is not None and limit * NEAR_LIMIT <= score.psi <= limit:
        first = ", ".join(f"{feature.column} ({feature.psi:.2f})" for feature in features[:SHOWN_FEATURES])
        observed = f"PSI {score.psi:.3f}" + (f"; features that moved most: {first}" if first else "")
        expected = f"less than {limit * NEAR_LIMIT:g}, half the limit"
        results.append(
            _note("score_drift_nears_its_limit", output, observed=observed, expected=expected, why=WHY_DRIFT)
        )
    return results


def _is_emptied(column: ColumnDrift) -> bool:
    usually_there = column.baseline_null_percent < USUALLY_THERE_PERCENT
    return usually_there and column.null_percent - column.baseline_null_percent > NULL_JUMP_POINTS


def _emptied(column: ColumnDrift) -> CheckResult:
    observed = f"{column.null_percent:.3g} % nulls"
    expected = f"about the {column.baseline_null_percent:.3g} % of training"
    return _note("feature_nulls", column.column, observed=observed, expected=expected, why=WHY_NULLS)


def _note(name: str, target: str, *, observed: str, expected: str, why: str, success: bool = False) -> CheckResult:
    return CheckResult(
        kind="limit",
        name=name,
        target=target,
        severity="warning",
        success=success,
        observed=observed,
        expected=expected,
        why=why,
    )


def _days(window: DriftWindow | None) -> int:
    return 0 if window is None else len(window.days)
