"""Limits of the spec on rows: how few there may be, how many may be set aside."""

from lockstep.quality.results import CheckResult, percent
from lockstep.run.manifest import Manifest
from lockstep.specs.limits import Limits


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
