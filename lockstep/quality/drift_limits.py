"""The `drift:` limits of a spec, judged: one result for each figure that has a bound."""

from collections.abc import Sequence

from lockstep.quality.drift import ColumnDrift, DriftWindow
from lockstep.quality.limits import drift_warnings, score_drift
from lockstep.quality.results import CheckResult
from lockstep.specs.drift_spec import METRICS, Metric, Reference
from lockstep.specs.spec import ScoringSpec

WORDS: dict[Metric, str] = {"psi": "PSI", "js": "JS distance", "ks": "KS distance"}
WHY_SCORE = "scores this far from those of the reference are rarely the world and often a broken input"
WHY_FEATURE = "the model gets other values here than those it was trained or last used on"
WHY_WINDOW = "a few days are no reference: each differs from the next by weekday and weather"
WHY_NAMED = "a limit on a column that is not measured can never fail"


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
    score = spec.output.column
    training = [column for column in drift if column.reference == "training"]
    effective = spec.limits.model_copy(
        update={"max_drift_psi": bound_of(spec, score, reference="training", metric="psi")}
    )
    results = [] if spec.drift.score.training.psi is not None else [score_drift(training, score, spec.limits)]
    judged = [result for column in drift for result in _column_results(column, spec, days=_days(window))]
    judged.sort(key=lambda result: (result.target != score, result.success))
    warnings = drift_warnings(training, score, effective)
    return [*(r for r in results if r is not None), *judged, *_not_judged(drift, spec, window), *warnings]


def _column_results(column: ColumnDrift, spec: ScoringSpec, *, days: int) -> list[CheckResult]:
    limits = spec.drift.limits_of(column.column, score=spec.output.column)
    results = []
    for metric in METRICS:
        bound, value = limits.of(column.reference, metric), column.value(metric)
        if bound is None or value is None:
            continue
        against = "the training data" if column.reference == "training" else f"the {days} published days before"
        results.append(
            CheckResult(
                kind="limit",
                name=f"drift.{column.reference}.{metric}",
                target=column.column,
                severity=limits.severity,
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
            results.append(
                _note("drift.columns", name, observed="not measured", expected=expected, why=WHY_NAMED, success=False)
            )
    return results


def _note(name: str, target: str, *, observed: str, expected: str, why: str, success: bool) -> CheckResult:
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
