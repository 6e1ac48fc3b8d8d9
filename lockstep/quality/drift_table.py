"""The drift of a run as a table: `drift.parquet` in the run folder, to be published beside the scores."""

from collections.abc import Sequence

import pyarrow as pa

from lockstep.quality.drift import ColumnDrift
from lockstep.quality.drift_limits import bound_of
from lockstep.run.plan import Plan
from lockstep.specs.drift_spec import METRICS

SUFFIX, PARTITION = "_drift", "partition_date"
# One row for each column, reference and metric; docs/checks.md explains them. No name is a keyword of SQL.
SCHEMA = pa.schema(
    [
        pa.field("spec", pa.string(), nullable=False),
        pa.field("partition_date", pa.date32(), nullable=False),
        pa.field("run_key", pa.string(), nullable=False),
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("column_name", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # numeric or categorical
        pa.field("reference", pa.string(), nullable=False),  # training or trailing
        pa.field("metric", pa.string(), nullable=False),  # psi, js or ks
        pa.field("value", pa.float64()),  # null: not defined, as ks of texts
        pa.field("value_low", pa.float64()),  # between these two lies the exact value, where it is an estimate
        pa.field("value_high", pa.float64()),
        pa.field("threshold", pa.float64()),  # null: not judged
        pa.field("reading", pa.string(), nullable=False),  # of the column's psi against this reference
        pa.field("row_count", pa.int64(), nullable=False),  # nulls included
        pa.field("reference_row_count", pa.int64(), nullable=False),
    ]
)


def table_name(published: str) -> str:
    """Return the name of the drift table beside a published table."""
    return f"{published}{SUFFIX}"


def drift_table(plan: Plan, drift: Sequence[ColumnDrift]) -> pa.Table:
    """Return the drift of a run as a table with `SCHEMA`, by column, reference and metric.

    Args:
        plan: The run.
        drift: What its audit measured; nothing gives a table without rows.
    """
    rows = []
    for column in sorted(drift, key=lambda one: (one.column, one.reference)):
        for metric in METRICS:
            value = column.value(metric)
            above, below = (column.ks_above, column.ks_below) if metric == "ks" else (0.0, 0.0)
            bound = bound_of(plan.spec, column.column, reference=column.reference, metric=metric)
            rows.append(
                {
                    "spec": plan.spec.name,
                    "partition_date": plan.partition,
                    "run_key": plan.run_key,
                    "model_version": plan.model.version,
                    "column_name": column.column,
                    "kind": column.kind,
                    "reference": column.reference,
                    "metric": metric,
                    "value": value,
                    "value_low": None if value is None else value - below,
                    "value_high": None if value is None else value + above,
                    "threshold": None if value is None else bound,
                    "reading": column.reading,
                    "row_count": column.rows,
                    "reference_row_count": column.reference_rows,
                }
            )
    return pa.Table.from_pylist(rows, schema=SCHEMA)
