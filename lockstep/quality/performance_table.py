"""The performance table beside a published table: one row for each day, arm, model version and segment."""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.publish.contract import Publication, Warehouse
from lockstep.quality.performance import Figures, Kind, measure
from lockstep.run.plan import Record

SUFFIX, PARTITION = "_performance", "partition_date"
PUBLISHED = "published"
SCORE, LABEL, VERSION = "lockstep_score", "lockstep_label", "model_version"
# docs/labels.md explains the columns. No name is a keyword of SQL.
SCHEMA = pa.schema(
    [
        pa.field("spec", pa.string(), nullable=False),
        pa.field("table_name", pa.string(), nullable=False),  # whose rows were measured
        pa.field("arm", pa.string(), nullable=False),  # published, or the alias of a challenger
        pa.field("partition_date", pa.date32(), nullable=False),
        pa.field("scores_run_key", pa.string(), nullable=False),  # the run whose rows were measured
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("segment_column", pa.string()),  # null: the whole day
        pa.field("segment_value", pa.string()),
        pa.field("row_count", pa.int64(), nullable=False),
        pa.field("labelled_count", pa.int64(), nullable=False),
        pa.field("measured_count", pa.int64(), nullable=False),
        pa.field("positive_count", pa.int64()),  # null: the labels are no classes
        pa.field("mean_score", pa.float64()),
        pa.field("mean_label", pa.float64()),
        pa.field("bias", pa.float64()),
        pa.field("auc", pa.float64()),
        pa.field("log_loss", pa.float64()),
        pa.field("brier", pa.float64()),
        pa.field("calibration_error", pa.float64()),
        pa.field("mae", pa.float64()),
        pa.field("rmse", pa.float64()),
        pa.field("reason", pa.string(), nullable=False),  # why a figure is null; empty: none is that should not be
    ]
)
# Column of a count, without its ending, and the field of `Figures`.
COUNTS = (("row", "rows"), ("labelled", "labelled"), ("measured", "measured"), ("positive", "positives"))


class PerformanceRow(Record):
    """One row of the table; the fields are its columns."""

    spec: str
    table_name: str
    arm: str
    partition_date: dt.date
    scores_run_key: str
    model_version: int
    segment_column: str | None = None
    segment_value: str | None = None
    row_count: int
    labelled_count: int
    measured_count: int
    positive_count: int | None = None
    mean_score: float | None = None
    mean_label: float | None = None
    bias: float | None = None
    auc: float | None = None
    log_loss: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    mae: float | None = None
    rmse: float | None = None
    reason: str = ""

    @property
    def is_whole_day(self) -> bool:
        """Whether it is about all rows of its version and day."""
        return self.segment_column is None


def table_name(published: str) -> str:
    """Return the name of the performance table beside a published table."""
    return f"{published}{SUFFIX}"


def performance_rows(
    rows: pa.Table, live: Publication, *, arm: str, kind: Kind, segments: Sequence[str], min_rows: int
) -> list[PerformanceRow]:
    """Measure the rows of one table and day: for each model version all of them, then each value of each segment.

    Args:
        rows: With the columns `SCORE`, `LABEL` (null: none), `VERSION` and the segments.
        live: The publication that made them.
        arm: `published`, or the alias of the challenger whose table it is.
        kind: What the labels are.
        segments: Columns by whose values rows are measured too.
        min_rows: Fewest labelled rows of a value that is reported.
    """
    scores, labels = _floats(rows.column(SCORE)), _floats(rows.column(LABEL)).astype(np.float64)
    versions = rows.column(VERSION).to_numpy()
    shared = {
        "spec": live.spec,
        "table_name": live.table,
        "arm": arm,
        "partition_date": live.partition,
        "scores_run_key": live.run_key,
    }
    found = []
    for version in np.unique(versions).tolist():
        mine = np.flatnonzero(versions == version)
        named = {**shared, "model_version": version}
        found.append(_row(measure(scores[mine], labels[mine], kind=kind), named))
        for column in segments:
            for value, places in _groups(rows.column(column).take(pa.array(mine))):
                if np.count_nonzero(~np.isnan(labels[mine[places]])) >= min_rows:
                    figures = measure(scores[mine[places]], labels[mine[places]], kind=kind)
                    found.append(_row(figures, {**named, "segment_column": column, "segment_value": value}))
    return found


def _groups(column: pa.ChunkedArray) -> Iterator[tuple[str | None, npt.NDArray[np.int64]]]:
    """Yield each value as text with the places where it is, in the order of the values, null last."""
    encoded = pc.cast(column.combine_chunks(), pa.string()).dictionary_encode()
    names: list[str | None] = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, len(names)).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 2))
    for code in sorted(range(len(names)), key=lambda code: str(names[code])):
        yield names[code], order[bounds[code] : bounds[code + 1]]
    if bounds[-1] > bounds[-2]:
        yield None, order[bounds[-2] : bounds[-1]]


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.floating]:
    """Return a column as floats of its own precision, null as NaN."""
    if not pa.types.is_floating(column.type):
        column = pc.cast(column, pa.float64())
    values: npt.NDArray[np.floating] = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def _row(figures: Figures, named: Mapping[str, object]) -> PerformanceRow:
    facts = asdict(figures)
    counts = {f"{name}_count": facts.pop(field) for name, field in COUNTS}
    return PerformanceRow(**{**named, **counts, **facts})


def to_table(rows: Sequence[PerformanceRow]) -> pa.Table:
    """Return rows as what is published."""
    return pa.Table.from_pylist([row.model_dump() for row in rows], schema=SCHEMA)


def read_performance(warehouse: Warehouse, table: str, *, since: dt.date, until: dt.date) -> list[PerformanceRow]:
    """Return what was measured of the rows of a published table and of those of its challengers.

    Args:
        warehouse: Where it is published.
        table: The published table (not its performance table).
        since: First day.
        until: Last day, included.

    Returns:
        By day, arm (the published rows first), version and segment, the whole day first; nothing when nothing was
        measured yet.
    """
    name = table_name(table)
    if name not in warehouse.tables():
        return []
    columns, rows = warehouse.read_days(name, column=PARTITION, first=since, last=until)
    found = [PerformanceRow.model_validate(dict(zip(columns, row, strict=True))) for row in rows]
    return sorted(found, key=_place)


def _place(row: PerformanceRow) -> tuple[object, ...]:
    arm = (row.arm != PUBLISHED, row.arm, row.model_version)
    return (row.partition_date, *arm, row.segment_column or "", row.segment_value is None, row.segment_value or "")


def pooled(rows: Sequence[PerformanceRow], figure: str) -> float | None:
    """Return a figure over several rows, such as those of some days; none when none of them has it.

    Means are weighted by measured rows, which for log loss, Brier score, bias and the errors is the figure of all rows
    together. AUC is weighted by pairs of a positive and a negative row, so it is of pairs within a row of the table
    only. The calibration error of few rows is high by chance, and so is the mean of several.
    """
    total = weights = 0.0
    for row in rows:
        value: float | None = getattr(row, figure)
        if value is not None:
            weight = _pairs(row) if figure == "auc" else row.measured_count
            total += weight * (value * value if figure == "rmse" else value)
            weights += weight
    if not weights:
        return None
    return math.sqrt(total / weights) if figure == "rmse" else total / weights


def _pairs(row: PerformanceRow) -> int:
    positives = row.positive_count or 0
    return positives * (row.measured_count - positives)
