"""Loads of an online store, small: a partition whose rows all tell the run that made them."""

import datetime as dt
from typing import Any

import pyarrow as pa

from lockstep.publish.online.contract import Fence, OnlineShape, PartitionLoad
from lockstep.publish.online.staged_rows import StagedRows

TABLE, WAREHOUSE = "scores_table", "warehouse.duckdb"
DAY = dt.date(2024, 3, 5)
NOW = dt.datetime(2024, 3, 6, 6, tzinfo=dt.UTC)
SHAPE = OnlineShape(key=("id",), columns=("risk",))


def day(number: int) -> dt.date:
    return DAY + dt.timedelta(days=number)


def run_rows(run_key: str, *, rows: int = 6, first: int = 0, version: int = 1, score: float = 0.0) -> pa.Table:
    """Rows of a run as they are staged."""
    return pa.table(
        {
            "id": pa.array(range(first, first + rows), pa.int64()),
            "risk": pa.array([score + i / 8 for i in range(rows)], pa.float64()),
            "depot": pa.array(["N", "S"] * (rows // 2) + ["N"] * (rows % 2)),
            "model_name": pa.array(["parcels"] * rows),
            "model_version": pa.array([version] * rows, pa.int64()),
            "model_digest": pa.array([f"d{version}"] * rows),
            "run_key": pa.array([run_key] * rows),
        }
    )


def load(
    run_key: str, token: int, *, partition: dt.date = DAY, rows: pa.Table | None = None, **changes: Any
) -> PartitionLoad:
    """A load of a run."""
    shape, table = changes.get("shape", SHAPE), changes.get("table", TABLE)
    found = run_rows(run_key) if rows is None else rows
    facts: dict[str, Any] = {
        "table": table,
        "partition": partition,
        "token": token,
        "run_key": run_key,
        "warehouse": WAREHOUSE,
        "shape": shape,
        "content": StagedRows(lambda: found, shape, (table, partition.isoformat()), found.num_rows),
        "keep_days": 1,
        "published_at": NOW,
        "now": NOW,
    }
    return PartitionLoad(**{**facts, **changes})


def fence(run_key: str, token: int) -> Fence:
    return Fence(token, run_key, WAREHOUSE)
