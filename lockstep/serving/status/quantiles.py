"""Quantiles of what a histogram counted."""

from collections.abc import Sequence


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Estimate a quantile, on a straight line within its bucket, as Prometheus's `histogram_quantile` does.

    Args:
        bounds: Upper bounds of the buckets, above 0 and growing.
        counts: Of each bucket, and of what is above the last bound; at least one of them above 0.
        share: From 0 to 1.

    Returns:
        None when it is above the last bound.
    """
    wanted, below = share * sum(counts), 0.0
    for number, (bound, count) in enumerate(zip(bounds, counts, strict=False)):
        if count and below + count >= wanted:
            lower = bounds[number - 1] if number else 0.0
            return lower + (bound - lower) * max(wanted - below, 0.0) / count
        below += count
    return None
