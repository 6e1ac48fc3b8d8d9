"""Staged rows as the score step leaves them, small."""

import datetime as dt
from pathlib import Path

import pyarrow as pa

from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.run.identity import file_sha256

DAY = dt.date(2013, 8, 1)
NOON = dt.datetime(2013, 8, 2, 12, tzinfo=dt.UTC)


def staged_table(run_key: str, *, rows: int, day: dt.date = DAY, version: int = 1, first: int = 0) -> pa.Table:
    return pa.table(
        {
            "flight_date": pa.array([day] * rows, pa.date32()),
            "flight": pa.array(range(first, first + rows), pa.int32()),
            "probability_late": pa.array([(i % 10) / 10 for i in range(rows)], pa.float64()),
            "model_name": pa.array(["flight_delay"] * rows),
            "model_version": pa.array([version] * rows, pa.int64()),
            "model_digest": pa.array(["d" * 8] * rows),
            "run_key": pa.array([run_key] * rows),
            "scored_at": pa.array([NOON] * rows, pa.timestamp("us", "UTC")),
        }
    )


def staged_file(path: Path) -> StagedFile:
    return StagedFile(path, size_bytes=path.stat().st_size, sha256=file_sha256(path))


def publish_request(run_key: str, token: int, *, files: object, rows: int, **changes: object) -> PublishRequest:
    facts: dict[str, object] = {
        "table": "scores_table",
        "partition_column": "flight_date",
        "partition": DAY,
        "run_key": run_key,
        "token": token,
        "spec": "flight_delay",
        "spec_hash": "s" * 8,
        "model_name": "flight_delay",
        "model_version": 1,
        "model_digest": "d" * 8,
        "code_version": "0",
        "run_folder": f"runs/{run_key}",
        "files": files,
        "rows": rows,
        "now": NOON,
    }
    return PublishRequest(**{**facts, **changes})  # type: ignore[arg-type]
