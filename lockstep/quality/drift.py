"""Drift: how far the distribution of a column has moved from the training baseline."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lockstep.run.plan import Record

Reading = Literal["stable", "shifted", "large shift"]

# The usual reading of the index.
SHIFTED, LARGE = 0.1, 0.25
# Added to every bin, so that an empty one gives a finite index.
PRIOR = 0.5


class ColumnDrift(Record):
    """Drift of one column.

    Attributes:
        psi: Population stability index over the baseline's bins, 0 = the same distribution.
        null_percent: Nulls of this run, 0..100; `baseline_null_percent` those of the training data.
    """

    column: str
    kind: Literal["numeric", "categorical"]
    psi: float
    reading: Reading
    null_percent: float
    baseline_null_percent: float


def population_stability_index(expected: Sequence[int], actual: Sequence[int]) -> float:
    """Compare two histograms over the same bins: the sum of (a - e) * ln(a / e) over their shares.

    Every bin gets half a count more, so an empty bin gives a finite figure. Symmetric, never negative, 0 for equal
    shares; on few rows it is biased upward by about (bins - 1) * (1/rows + 1/baseline rows).

    Args:
        expected: Counts of the baseline.
        actual: Counts of the run, bin for bin.
    """
    if len(expected) != len(actual):
        raise ValueError(f"histograms have {len(expected)} and {len(actual)} bins")
    total_e, total_a = sum(expected) + PRIOR * len(expected), sum(actual) + PRIOR * len(actual)
    index = 0.0
    for count_e, count_a in zip(expected, actual, strict=True):
        share_e, share_a = (count_e + PRIOR) / total_e, (count_a + PRIOR) / total_a
        index += (share_a - share_e) * math.log(share_a / share_e)
    return index


def reading(psi: float) -> Reading:
    """Say what an index means."""
    if psi < SHIFTED:
        return "stable"
    return "shifted" if psi < LARGE else "large shift"


def drift_of(baseline: Mapping[str, Any], current: Mapping[str, Any]) -> list[ColumnDrift]:
    """Compare two profiles (their JSON form) column by column, the largest drift first.

    Columns that either side lacks, or of which either side has no rows, are passed over.
    """
    found = []
    for name, before in baseline["columns"].items():
        now = current["columns"].get(name)
        if now is None or not _rows(before) or not _rows(now):
            continue
        psi = population_stability_index(_bins(before), _bins(now))
        found.append(
            ColumnDrift(
                column=name,
                kind=before["kind"],
                psi=round(psi, 6),
                reading=reading(psi),
                null_percent=round(100 * now["nulls"] / _rows(now), 4),
                baseline_null_percent=round(100 * before["nulls"] / _rows(before), 4),
            )
        )
    return sorted(found, key=lambda drift: (-drift.psi, drift.column))


def _rows(column: Mapping[str, Any]) -> int:
    return int(column["count"]) + int(column["nulls"])


def _bins(column: Mapping[str, Any]) -> list[int]:
    """Return the counts with nulls as one more bin (two profiles of one baseline have the same bins).

    Counts may be those of a sample while nulls are of all rows; they are brought to the scale of the sample.
    """
    if column["kind"] == "numeric":
        counts = list(column["counts"])
    else:
        counts = [*(count for _, count in sorted(column["counts"].items())), column["other"]]
    share = sum(counts) / column["count"] if column["count"] else 1.0
    return [*counts, round(column["nulls"] * share)]
