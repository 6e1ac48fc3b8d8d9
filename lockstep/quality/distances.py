"""The figures of drift, one at a time, for the reference expectations of a suite."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from lockstep.quality.asks import Uncomputable
from lockstep.quality.bins import compare, rows_of
from lockstep.quality.divergence import jensen_shannon_distance, population_stability_index

ColumnFacts: TypeAlias = Mapping[str, Any]  # a column of a profile, in JSON form

NAMES = {"psi": "PSI", "js": "Jensen-Shannon distance", "ks": "Kolmogorov-Smirnov distance"}


def distance(kind: str, now: ColumnFacts, before: ColumnFacts) -> float:
    """Return how far a column has moved; 0 is the same distribution.

    Args:
        kind: `psi`, the population stability index; `js`, the Jensen-Shannon distance, 0..1; `ks`, the largest
            difference between the two cumulative shares of known values, 0..1.
        now: The run's column.
        before: The reference's.

    Raises:
        Uncomputable: The two cannot be compared: one is text and the other is not, one has no value, or texts have no
            order (`ks`).
    """
    compared = compare(before, now) if now["kind"] == before["kind"] and rows_of(now) and rows_of(before) else None
    if compared is None or (kind == "ks" and compared.ks is None):
        raise Uncomputable
    if kind == "ks" and compared.ks is not None:
        return compared.ks.value
    figure = population_stability_index if kind == "psi" else jensen_shannon_distance
    return figure(compared.expected, compared.actual)


def null_percent(column: ColumnFacts) -> float:
    """Return the nulls of a column as a share of its rows, 0..100."""
    if not rows_of(column):
        raise Uncomputable
    return 100 * float(column["nulls"]) / rows_of(column)
