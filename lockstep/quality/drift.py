"""Drift: how far the distributions of a run's columns lie from those of training and of the days before."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lockstep.quality.bins import compare, rows_of
from lockstep.quality.divergence import jensen_shannon_distance, population_stability_index
from lockstep.run.plan import Record
from lockstep.specs.drift_spec import Metric, Reference

Reading = Literal["stable", "shifted", "large shift"]

# The usual reading of the index.
SHIFTED, LARGE = 0.1, 0.25


class ColumnDrift(Record):
    """Drift of one column against one reference.

    Attributes:
        psi: Population stability index over common bins, 0 = the same distribution.
        null_percent: Nulls of this run, 0..100; `baseline_null_percent` those of the reference.
        reference: What the run is compared with.
        js: Jensen-Shannon distance over the same bins, 0..1.
        ks: Kolmogorov-Smirnov distance of the numbers, 0..1; none for texts.
        ks_above, ks_below: How much greater or less the exact distance may be.
        rows: Rows of this run; `reference_rows` those of the reference.
    """

    column: str
    kind: Literal["numeric", "categorical"]
    psi: float
    reading: Reading
    null_percent: float
    baseline_null_percent: float
    reference: Reference = "training"
    js: float | None = None
    ks: float | None = None
    ks_above: float = 0.0
    ks_below: float = 0.0
    rows: int = 0
    reference_rows: int = 0

    def value(self, metric: Metric) -> float | None:
        """Return one of the three figures; none where it is not defined."""
        return {"psi": self.psi, "js": self.js, "ks": self.ks}[metric]


class DriftWindow(Record):
    """The trailing window of a run.

    Attributes:
        days: Earlier published partitions in it, in order.
        unreadable: Published partitions whose run folder is gone, has no profile or is of another Lockstep.
    """

    days: tuple[dt.date, ...]
    unreadable: int = 0


class TrendPoint(Record):
    """The drift of a column on one day against training."""

    day: dt.date
    psi: float
    js: float
    ks: float | None


class ColumnTrend(Record):
    """The drift of a column against training, day by day; the last day is that of the run."""

    column: str
    points: tuple[TrendPoint, ...]


def reading(psi: float) -> Reading:
    """Say what an index means."""
    if psi < SHIFTED:
        return "stable"
    return "shifted" if psi < LARGE else "large shift"


def drift_of(
    reference: Mapping[str, Any], current: Mapping[str, Any], *, against: Reference = "training"
) -> list[ColumnDrift]:
    """Compare two profiles (their JSON form) column by column, the largest drift first.

    Columns that either side lacks, of which either side has no rows, or whose bins and sketches have nothing in common,
    are passed over.
    """
    found = []
    for name, before in reference["columns"].items():
        now = current["columns"].get(name)
        drift = None if now is None else _column_drift(name, before, now=now, against=against)
        if drift is not None:
            found.append(drift)
    return sorted(found, key=lambda drift: (-drift.psi, drift.column))


def trend_of(
    training: Mapping[str, Any], days: Sequence[tuple[dt.date, Mapping[str, Any]]], *, columns: Sequence[str]
) -> list[ColumnTrend]:
    """Compare the profiles of several days with training, for some columns.

    Args:
        training: Profile of the training data, JSON form.
        days: Days with their profiles, in order.
        columns: Those that are wanted; one that no day can be compared in is left out.
    """
    points: dict[str, list[TrendPoint]] = {name: [] for name in columns if name in training["columns"]}
    for day, profile in days:
        wanted = {"columns": {name: training["columns"][name] for name in points}}
        for drift in drift_of(wanted, profile):
            points[drift.column].append(TrendPoint(day=day, psi=drift.psi, js=drift.js or 0.0, ks=drift.ks))
    return [ColumnTrend(column=name, points=tuple(found)) for name, found in points.items() if found]


def _column_drift(
    name: str, before: Mapping[str, Any], *, now: Mapping[str, Any], against: Reference
) -> ColumnDrift | None:
    compared = compare(before, now)
    if compared is None:
        return None
    psi = population_stability_index(compared.expected, compared.actual)
    ks = compared.ks
    return ColumnDrift(
        column=name,
        kind=before["kind"],
        psi=round(psi, 6),
        reading=reading(psi),
        null_percent=round(100 * now["nulls"] / rows_of(now), 4),
        baseline_null_percent=round(100 * before["nulls"] / rows_of(before), 4),
        reference=against,
        js=round(jensen_shannon_distance(compared.expected, compared.actual), 6),
        ks=None if ks is None else round(ks.value, 6),
        ks_above=0.0 if ks is None else round(ks.above, 6),
        ks_below=0.0 if ks is None else round(ks.below, 6),
        rows=rows_of(now),
        reference_rows=rows_of(before),
    )
