"""What a Delta log says of a file: rows, nulls and bounds, so that readers skip files that they do not need."""

import datetime as dt
import json
from pathlib import PurePath
from typing import Any

import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from lockstep.publish.contract import PublishRequest
from lockstep.publish.staged_files import Footer

# Bounds of other types have forms of their own in a log; without them a reader only skips less.
BOUNDED = (int, dt.date)


def add_action(footer: Footer, path: PurePath, *, request: PublishRequest) -> AddAction:
    """Describe a file of a partition.

    Args:
        footer: The staged file.
        path: Where it lies, relative to the table's folder.
        request: What is published.
    """
    return AddAction(
        path=path.as_posix(),
        size=footer.file.size_bytes,
        partition_values={request.partition_column: request.partition.isoformat()},
        modification_time=int(request.now.timestamp() * 1000),
        data_change=True,
        stats=json.dumps(_statistics(footer.metadata, without=request.partition_column)),
    )


def _statistics(metadata: pq.FileMetaData, *, without: str) -> dict[str, Any]:
    nulls: dict[str, int] = {}
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    for index in range(metadata.num_columns):
        name = metadata.schema.column(index).path
        groups = [metadata.row_group(g).column(index).statistics for g in range(metadata.num_row_groups)]
        if name == without or "." in name or not groups or any(stats is None for stats in groups):
            continue
        nulls[name] = sum(stats.null_count or 0 for stats in groups)
        bounded = [stats for stats in groups if stats.has_min_max]
        if bounded and len(bounded) == len(groups) and _has_bounds(bounded[0].min):
            low[name] = _plain(min(stats.min for stats in bounded))
            high[name] = _plain(max(stats.max for stats in bounded))
    return {"numRecords": metadata.num_rows, "nullCount": nulls, "minValues": low, "maxValues": high}


def _has_bounds(value: object) -> bool:
    return isinstance(value, BOUNDED) and not isinstance(value, bool | dt.datetime)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value
