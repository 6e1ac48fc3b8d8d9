"""How far the distribution of a column is from that of a reference, from two profiles: no row is read again.

Columns are compared over the same bins where both were counted in the same ones (deciles of the training data), else
over the deciles of the reference, from the sketches. Nulls are one more bin.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lockstep.quality.asks import Uncomputable
from lockstep.quality.drift import population_stability_index
from lockstep.scoring.sketches import FrequentSketch, QuantileSketch

ColumnFacts: TypeAlias = Mapping[str, Any]  # a column of a profile, in JSON form
Numbers: TypeAlias = npt.NDArray[np.float64]

# Ranks at which sketches are read; finer than their own error.
RANKS = np.linspace(0.0, 1.0, 401)
BINS = 10
TOP = 50
NAMES = {"psi": "PSI", "js": "Jensen-Shannon divergence", "ks": "Kolmogorov-Smirnov distance"}


def distance(kind: str, now: ColumnFacts, before: ColumnFacts) -> float:
    """Return how far a column has moved; 0 is the same distribution.

    Args:
        kind: `psi`, the population stability index; `js`, the Jensen-Shannon divergence in bits, 0..1; `ks`, the
            largest difference between the two cumulative shares of known values, 0..1.
        now: The run's column.
        before: The reference's.

    Raises:
        Uncomputable: The two cannot be compared: one is text and the other is not, one has no value, or texts have no
            order (`ks`).
    """
    if now["kind"] != before["kind"] or not _rows(now) or not _rows(before):
        raise Uncomputable
    if kind == "ks":
        return _kolmogorov_smirnov(now, before)
    counts_now, counts_before = _bins(now, before)
    if kind == "psi":
        return population_stability_index(counts_before, counts_now)
    return _jensen_shannon(counts_now, counts_before)


def null_percent(column: ColumnFacts) -> float:
    """Return the nulls of a column as a share of its rows, 0..100."""
    if not _rows(column):
        raise Uncomputable
    return 100 * float(column["nulls"]) / _rows(column)


def _rows(column: ColumnFacts) -> int:
    return int(column["count"]) + int(column["nulls"])


def _bins(now: ColumnFacts, before: ColumnFacts) -> tuple[list[int], list[int]]:
    if now["kind"] != "numeric":
        counted = _texts(now, before)
    elif now["edges"] and list(now["edges"]) == list(before["edges"]):
        counted = (list(now["counts"]), list(before["counts"]))
    else:
        edges = np.unique(np.quantile(_sample(before), np.linspace(0, 1, BINS + 1)[1:-1]))
        counted = (_counted(now, edges), _counted(before, edges))
    return _with_nulls(counted[0], now), _with_nulls(counted[1], before)


def _with_nulls(counts: Sequence[int], column: ColumnFacts) -> list[int]:
    """Add the nulls; counts may be those of a sample, and nulls are brought to its scale."""
    share = sum(counts) / column["count"] if column["count"] else 1.0
    return [*counts, round(column["nulls"] * share)]


def _counted(column: ColumnFacts, edges: Numbers) -> list[int]:
    values = np.sort(_sample(column))
    places = np.concatenate([[0], np.searchsorted(values, edges, side="right"), [len(values)]])
    return [round(float(share) * column["count"]) for share in np.diff(places) / len(values)]


def _sample(column: ColumnFacts) -> Numbers:
    """Return values that stand for the column's distribution, at even ranks."""
    text = column.get("sketch")
    found = QuantileSketch.from_text(text).quantiles(RANKS.tolist()) if text else []
    if not found:
        raise Uncomputable
    return np.asarray(found, dtype=np.float64)


def _texts(now: ColumnFacts, before: ColumnFacts) -> tuple[list[int], list[int]]:
    first, second = _frequencies(now), _frequencies(before)
    names = sorted(first.keys() | second.keys())
    return (
        [*(first.get(name, 0) for name in names), max(int(now["count"]) - sum(first.values()), 0)],
        [*(second.get(name, 0) for name in names), max(int(before["count"]) - sum(second.values()), 0)],
    )


def _frequencies(column: ColumnFacts) -> dict[str, int]:
    text = column.get("sketch")
    if column["counts"]:
        share = column["count"] / max(sum(column["counts"].values()) + column["other"], 1)
        return {name: round(count * share) for name, count in column["counts"].items() if count}
    found = dict(FrequentSketch.from_text(text).top(TOP)) if text else {}
    total = sum(found.values())
    scale = min(1.0, column["count"] / total) if total else 1.0
    return {name: round(count * scale) for name, count in found.items()}


def _kolmogorov_smirnov(now: ColumnFacts, before: ColumnFacts) -> float:
    if now["kind"] != "numeric" or not now["count"] or not before["count"]:
        raise Uncomputable
    if now.get("sketch") and before.get("sketch"):
        first, second = np.sort(_sample(now)), np.sort(_sample(before))
        places = np.concatenate([first, second])
        below = [np.searchsorted(values, places, side="right") / len(values) for values in (first, second)]
        return float(np.abs(below[0] - below[1]).max())
    if list(now["edges"]) != list(before["edges"]):
        raise Uncomputable
    shares = [np.cumsum(column["counts"]) / max(sum(column["counts"]), 1) for column in (now, before)]
    return float(np.abs(shares[0] - shares[1]).max())


def _jensen_shannon(now: Sequence[int], before: Sequence[int]) -> float:
    shares = [np.asarray(counts, dtype=np.float64) / max(sum(counts), 1) for counts in (now, before)]
    middle = (shares[0] + shares[1]) / 2
    entropies = [_entropy(share) for share in (middle, *shares)]
    return max(0.0, entropies[0] - (entropies[1] + entropies[2]) / 2)


def _entropy(shares: Numbers) -> float:
    return -math.fsum(share * math.log2(share) for share in shares.tolist() if share > 0)
