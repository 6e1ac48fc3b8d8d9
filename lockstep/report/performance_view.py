"""The performance section of the report: how good the scores of the days before turned out to be."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.quality.performance_table import PUBLISHED, PerformanceRow, pooled
from lockstep.report.trends import value_line

WINDOW_DAYS = 28
NAMES = {
    "auc": "AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "bias": "Bias (mean score - mean label)",
    "calibration_error": "Calibration error",
}


@dataclass(frozen=True)
class FigureRow:
    """One figure: of the latest labelled day, if it has it, of all days together, and day by day as SVG."""

    name: str
    latest: str
    mean: str
    trend: str | None


@dataclass(frozen=True)
class PerformanceView:
    """The section.

    Attributes:
        first, last: First and last labelled day.
        days: Labelled days.
        versions: Model versions that made them.
        rows, labelled: Published rows of these days, and those of them with a label.
    """

    figures: tuple[FigureRow, ...]
    first: dt.date
    last: dt.date
    days: int
    versions: tuple[int, ...]
    rows: int
    labelled: int


def performance_view(performance: Sequence[PerformanceRow]) -> PerformanceView | None:
    """Arrange what was measured of published rows, or return `None` when no day has labels."""
    mine = [row for row in performance if row.arm == PUBLISHED and row.is_whole_day and row.measured_count]
    days = sorted({row.partition_date for row in mine})
    if not days:
        return None
    by_day = {day: [row for row in mine if row.partition_date == day] for day in days}
    return PerformanceView(
        figures=tuple(row for figure in NAMES if (row := _figure(figure, by_day)) is not None),
        first=days[0],
        last=days[-1],
        days=len(days),
        versions=tuple(sorted({row.model_version for row in mine})),
        rows=sum(row.row_count for row in mine),
        labelled=sum(row.labelled_count for row in mine),
    )


def _figure(figure: str, by_day: dict[dt.date, list[PerformanceRow]]) -> FigureRow | None:
    known = [(day, value) for day, rows in by_day.items() if (value := pooled(rows, figure)) is not None]
    mean = pooled([row for rows in by_day.values() for row in rows], figure)
    if not known or mean is None:
        return None
    latest = dict(known).get(max(by_day))
    shown = "" if latest is None else f"{latest:.3f}"
    return FigureRow(NAMES[figure], shown, f"{mean:.3f}", value_line(NAMES[figure], known))
