"""What the footers of Parquet files say for certain, without a value being read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def constants(files: Sequence[Path], names: Sequence[str]) -> dict[str, Any]:
    """Return the columns that hold one value in all rows and no null, with that value.

    Only whole numbers, dates and times count: statistics of texts may be cut short and those of floats pass over NaN.

    Args:
        files: Of one schema.
        names: The columns to look at.
    """
    schema = pq.read_schema(files[0]) if files else pa.schema([])
    left = {name for name in names if name in schema.names and _is_exact(schema.field(name).type)}
    found: dict[str, Any] = {}
    for group in _row_groups(files):
        for name, statistics in _statistics(group, left).items():
            value = _only_value(statistics)
            if value is None or found.setdefault(name, value) != value:
                left.discard(name)
    return {name: found[name] for name in names if name in left and name in found}


def _row_groups(files: Sequence[Path]) -> Iterator[pq.RowGroupMetaData]:
    for file in files:
        footer = pq.read_metadata(file)
        yield from (footer.row_group(index) for index in range(footer.num_row_groups))


def _statistics(group: pq.RowGroupMetaData, names: set[str]) -> dict[str, pq.Statistics | None]:
    columns = (group.column(index) for index in range(group.num_columns)) if names and group.num_rows else ()
    return {column.path_in_schema: column.statistics for column in columns if column.path_in_schema in names}


def _only_value(statistics: pq.Statistics | None) -> Any:
    if statistics is None or not statistics.has_min_max or not statistics.has_null_count or statistics.null_count:
        return None
    return statistics.min if statistics.min == statistics.max else None


def _is_exact(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind))
