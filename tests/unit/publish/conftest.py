import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.publish.duckdb_warehouse import DuckDBWarehouse
from tests.unit.publish.staged import DAY, NOON, staged_file, staged_table

StageRows = Callable[..., list[StagedFile]]
Request = Callable[..., PublishRequest]


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(str(tmp_path / "warehouse.duckdb"), 5.0)


@pytest.fixture
def stage(tmp_path: Path) -> StageRows:
    """Write the rows of a run as two Parquet files."""

    def write(run_key: str, *, rows: int = 6, day: dt.date = DAY, table: pa.Table | None = None) -> list[StagedFile]:
        folder = tmp_path / "runs" / run_key
        folder.mkdir(parents=True, exist_ok=True)
        whole = staged_table(run_key, rows=rows, day=day) if table is None else table
        half = whole.num_rows // 2
        files = []
        for index, part in enumerate([whole.slice(0, half), whole.slice(half)]):
            path = folder / f"part-{index}.parquet"
            pq.write_table(part, path)
            files.append(staged_file(path))
        return files

    return write


@pytest.fixture
def request_for(stage: StageRows) -> Request:
    """Build the publish request of a staged run."""

    def build(run_key: str, token: int, *, rows: int = 6, day: dt.date = DAY, **changes: object) -> PublishRequest:
        facts: dict[str, object] = {
            "table": "scores_table",
            "partition_column": "flight_date",
            "partition": day,
            "run_key": run_key,
            "token": token,
            "spec": "flight_delay",
            "spec_hash": "s" * 8,
            "model_name": "flight_delay",
            "model_version": 1,
            "model_digest": "d" * 8,
            "code_version": "0",
            "run_folder": f"runs/{run_key}",
            "files": changes.pop("files", None) or stage(run_key, rows=rows, day=day),
            "rows": rows,
            "now": NOON,
        }
        return PublishRequest(**{**facts, **changes})  # type: ignore[arg-type]

    return build
