"""Two columns of two profiles in common bins, whatever bins each was counted in.

Columns are those of `lockstep.scoring.profile` in their JSON form. Counts in the same bins are taken as they are;
otherwise, as between runs of two model versions, the sketches are cut into common bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.quality.divergence import KolmogorovSmirnov, ks_of_bins, ks_of_cumulative, ks_of_sketches
from lockstep.scoring.cumulative import Cumulative
from lockstep.scoring.profile import DECILES, TOP_VALUES
from lockstep.scoring.sketches import FREQUENT_LG, FrequentSketch, QuantileSketch

MOST_VALUES = 1 << FREQUENT_LG
Column = Mapping[str, Any]


@dataclass(frozen=True)
class Compared:
    """Two columns, made comparable.

    Attributes:
        expected: Counts of the reference, the last one those of nulls; `actual` those of the run.
        ks: Over the values that are not null; none for texts, which have no order, and when either side has no value.
    """

    expected: list[float]
    actual: list[float]
    ks: KolmogorovSmirnov | None


def compare(reference: Column, current: Column) -> Compared | None:
    """Bring two columns into common bins, or return `None` when nothing allows it."""
    if reference["kind"] != current["kind"] or not rows_of(reference) or not rows_of(current):
        return None
    pair = _texts(reference, current) if reference["kind"] == "categorical" else _numbers(reference, current)
    if pair is None:
        return None
    expected, actual = pair
    ks = _ks(reference, current, pair) if reference["kind"] == "numeric" else None
    return Compared([*expected, _nulls(reference, expected)], [*actual, _nulls(current, actual)], ks)


def rows_of(column: Column) -> int:
    """Return the rows that a column was counted over, nulls included."""
    return int(column["count"]) + int(column["nulls"])


def edges_of(column: Column) -> tuple[float, ...]:
    """Return the bounds between the bins of a numeric column; none when it has one bin."""
    return tuple(column.get("edges", ()))


def _numbers(reference: Column, current: Column) -> tuple[list[float], list[float]] | None:
    before, now = _sketch(reference), _sketch(current)
    edges, other = edges_of(reference), edges_of(current)
    if edges == other and (edges or before is None or now is None):
        return list(reference["counts"]), list(current["counts"])
    if edges and now is not None:
        return list(reference["counts"]), now.counts(edges)
    if other and before is not None:
        return before.counts(other), list(current["counts"])
    if before is not None and now is not None:
        cuts = sorted(set(before.quantiles(list(DECILES))))
        return before.counts(cuts), now.counts(cuts)
    return None


def _sketch(column: Column) -> QuantileSketch | None:
    text = column.get("sketch")
    return QuantileSketch.from_text(text) if text else None


def _ks(reference: Column, current: Column, pair: tuple[list[float], list[float]]) -> KolmogorovSmirnov | None:
    expected, actual = pair
    if sum(expected) <= 0 or sum(actual) <= 0:
        return None
    before, now = _sketch(reference), _sketch(current)
    if before is not None and now is not None and before.values_seen and now.values_seen:
        return ks_of_sketches(before, now)
    if reference.get("cumulative") and now is not None and now.values_seen:
        return ks_of_cumulative(Cumulative.from_json(reference["cumulative"]), now)
    return ks_of_bins(expected, actual) if len(expected) > 1 else None


def _texts(reference: Column, current: Column) -> tuple[list[float], list[float]] | None:
    common = reference["counts"].keys() & current["counts"].keys()
    if common or (not reference.get("sketch") or not current.get("sketch")):
        if not common and (reference["counts"] or current["counts"]):
            return None  # no value is counted on both sides, so all would be `other`
        return _of_values(reference, sorted(common)), _of_values(current, sorted(common))
    before, now = (FrequentSketch.from_text(column["sketch"]).top(MOST_VALUES) for column in (reference, current))
    values = sorted({value for ranked in (before, now) for value, _ in ranked[:TOP_VALUES]})
    return _estimated(reference, dict(before), values=values), _estimated(current, dict(now), values=values)


def _of_values(column: Column, values: Sequence[str]) -> list[float]:
    """Return the counts of some values, and of all others together."""
    found = [float(column["counts"][value]) for value in values]
    return [*found, float(sum(column["counts"].values()) + column["other"]) - sum(found)]


def _estimated(column: Column, top: Mapping[str, int], *, values: Sequence[str]) -> list[float]:
    found = [float(top.get(value, 0)) for value in values]
    return [*found, max(float(sum(column["counts"].values()) + column["other"]) - sum(found), 0.0)]


def _nulls(column: Column, counted: Sequence[float]) -> float:
    """Return the nulls of all rows, brought to the scale of the counts, which may be those of a sample."""
    return float(column["nulls"]) * (sum(counted) / column["count"] if column["count"] else 1.0)
