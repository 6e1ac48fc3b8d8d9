"""Limits of the spec: how many rows may be set aside, how far the score may drift."""

from collections.abc import Sequence

from lockstep.quality.drift import ColumnDrift
from lockstep.quality.results import CheckResult, percent
from lockstep.run.manifest import Manifest
from lockstep.specs.limits import Limits

# A feature that is null in fewer of the training rows than this, and now in this many points more, has gone missing.
USUALLY_THERE_PERCENT, NULL_JUMP_POINTS = 50.0, 30.0
NEAR_LIMIT = 0.5
SHOWN_FEATURES = 3
WHY_NULLS = "a source of this feature may not have been loaded"
WHY_DRIFT = "the scores are unlike those of training; look at the features that moved"


def fewest_rows(rows: int, limits: Limits) -> CheckResult:
    """Check that the input has enough rows."""
    return CheckResult(
        kind="limit",
        name="limits.min_rows",
        success=rows >= limits.min_rows,
        observed=f"{rows:,} rows",
        expected=f"at least {limits.min_rows:,}",
        why="a partition that is nearly empty was probably not loaded whole",
    )


def quarantined_fraction(manifest: Manifest, limits: Limits) -> CheckResult:
    """Check the share of rows in quarantine; the result gives the reasons with counts, commonest first."""
    share = manifest.rows_quarantined / manifest.rows_in if manifest.rows_in else 0.0
    ranked = sorted(manifest.reasons.items(), key=lambda item: (-item[1], item[0]))
    reasons = "; ".join(f"{reason}: {count:,}" for reason, count in ranked)
    counted = f"{manifest.rows_quarantined:,} of {manifest.rows_in:,} rows ({percent(share)})"
    return CheckResult(
        kind="limit",
        name="limits.max_quarantined_fraction",
        success=share <= limits.max_quarantined_fraction,
        observed=f"{counted}: {reasons}" if reasons else counted,
        expected=f"at most {percent(limits.max_quarantined_fraction)} of rows in quarantine",
        unexpected_count=manifest.rows_quarantined,
        unexpected_percent=round(100 * share, 6),
        why="more bad rows than usual mean the input or the model is broken",
    )


def score_drift(drift: Sequence[ColumnDrift], output: str, limits: Limits) -> CheckResult | None:
    """Check the drift of the score against training, or return `None` when there is nothing to compare."""
    found = next((column for column in drift if column.column == output), None)
    if found is None:
        return None
    return CheckResult(
        kind="limit",
        name="limits.max_drift_psi",
        target=output,
        success=found.psi <= limits.max_drift_psi,
        observed=f"PSI {found.psi:.3f} ({found.reading})",
        expected=f"at most {limits.max_drift_psi:g} against the training baseline",
        why="scores this far from those of training are rarely the world and often a broken input",
    )


def drift_warnings(drift: Sequence[ColumnDrift], output: str, limits: Limits) -> list[CheckResult]:
    """Warn of a score on its way to its limit, with the features that moved most, and of features suddenly null.

    Drift of features alone is only reported: one day against months of training always shifts by season and weather.
    """
    features = [column for column in drift if column.column != output]
    score = next((column for column in drift if column.column == output), None)
    results = [_emptied(feature) for feature in features if _is_emptied(feature)]
    near = limits.max_drift_psi * NEAR_LIMIT
    if score is not None and near <= score.psi <= limits.max_drift_psi:
        first = ", ".join(f"{feature.column} ({feature.psi:.2f})" for feature in features[:SHOWN_FEATURES])
        observed = f"PSI {score.psi:.3f}" + (f"; features that moved most: {first}" if first else "")
        expected = f"less than {near:g}, half the limit"
        results.append(
            _warning("score_drift_nears_its_limit", output, observed=observed, expected=expected, why=WHY_DRIFT)
        )
    return results


def _is_emptied(column: ColumnDrift) -> bool:
    usually_there = column.baseline_null_percent < USUALLY_THERE_PERCENT
    return usually_there and column.null_percent - column.baseline_null_percent > NULL_JUMP_POINTS


def _emptied(column: ColumnDrift) -> CheckResult:
    observed = f"{column.null_percent:.3g} % nulls"
    expected = f"about the {column.baseline_null_percent:.3g} % of training"
    return _warning("feature_nulls", column.column, observed=observed, expected=expected, why=WHY_NULLS)


def _warning(name: str, target: str, *, observed: str, expected: str, why: str) -> CheckResult:
    return CheckResult(
        kind="limit",
        name=name,
        target=target,
        severity="warning",
        success=False,
        observed=observed,
        expected=expected,
        why=why,
    )
