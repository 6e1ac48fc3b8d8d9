"""Little tables of every kind, and plans of runs over them."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.data.snapshot import take_snapshot
from lockstep.data.table_input import plan_table_input
from lockstep.run.folder import PLAN, RunFolder
from lockstep.run.plan import Column, ModelIdentity, Plan, ScoringInput
from lockstep.scoring.units import read_unit
from lockstep.specs.spec import ScoringSpec

DAY = dt.date(2024, 1, 2)
INPUTS = (Column(name="km", dtype="double"), Column(name="shop", dtype="string", required=False))


def rows(*days: dt.date | None, first: int = 0) -> pa.Table:
    """One row a day given."""
    numbers = range(first, first + len(days))
    return pa.table(
        {
            "day": pa.array(days, pa.date32()),
            "id": pa.array(numbers, pa.int64()),
            "km": pa.array([number / 2 for number in numbers], pa.float64()),
            "shop": pa.array([f"s{number % 3}" for number in numbers], pa.string()),
        }
    )


def month() -> pa.Table:
    """Three rows of each of January 1 to 4, mixed."""
    return rows(*[DAY.replace(day=number % 4 + 1) for number in range(12)])


def write(table: pa.Table, *parts: str | Path, **options: Any) -> Path:
    """Write a Parquet file, with the folders that it needs."""
    file = Path(*parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, **options)
    return file


def spec(table: dict[str, Any], **changes: Any) -> ScoringSpec:
    """A spec over a table."""
    return ScoringSpec.model_validate(
        {
            "name": "s",
            "model": {"name": "m"},
            "schedule": {"cron": "0 6 * * *", "start": "2024-01-01"},
            "input": {"table": table},
            "partition": {"column": "day"},
            "key": ["day", "id"],
            "output": {"column": "score"},
            "publish": {"table": "t"},
            **changes,
        }
    )


def plan(root: Path, scoring: ScoringSpec, *, day: dt.date = DAY, inputs: tuple[Column, ...] = INPUTS) -> RunFolder:
    """Freeze the files of a day in a run folder; tables are below `root / "data"`."""
    folder = RunFolder(root / "run")
    model = ModelIdentity(name="m", version=1, digest="d", location="/m", inputs=inputs, outputs=())
    frozen = Plan(
        run_key="k",
        partition=day,
        spec=scoring,
        spec_hash="s",
        model=model,
        input_digest="i",
        sources=take_snapshot(scoring, day, root / "data"),
        data_root=str(root / "data"),
        warehouse="/w",
        cache_root="/c",
        code_version="0",
        planned_at=dt.datetime(2024, 1, 3, tzinfo=dt.UTC),
    )
    folder.write_json(PLAN, frozen)
    return folder


def describe(folder: RunFolder) -> ScoringInput:
    """Plan the units of a planned run."""
    table = folder.plan(step="test").spec.input.table
    assert table is not None
    return plan_table_input(folder, table)


def scored(folder: RunFolder, *, columns: tuple[str, ...] = ("day", "id", "km", "shop")) -> pa.Table:
    """Plan the units and read all of them, sorted by id."""
    described = describe(folder)
    batches = [b for u in described.units for b in read_unit(folder.path, u, columns=columns, batch_rows=7)]
    assert len({str(batch.schema) for batch in batches}) <= 1
    table = pa.Table.from_batches(batches)
    assert table.num_rows == described.rows
    return table.sort_by("id") if "id" in columns else table


def of_day(table: pa.Table, day: dt.date = DAY) -> pa.Table:
    """Return the rows of a day, sorted by id."""
    return table.filter([value == day for value in table.column("day").to_pylist()]).sort_by("id")
