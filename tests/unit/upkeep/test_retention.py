"""Which run folders go, on a disk and in a store; the warehouse is a real one, in which nothing is live."""

import datetime as dt
from pathlib import Path

import pytest

from lockstep.publish.contract import Warehouse
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.folder import PLAN, RunFolder
from lockstep.specs.retention import Retention
from lockstep.storage.files import Location, names_below
from lockstep.upkeep.retention import Dropped, vacuum
from tests.unit.scoring.roots import plan

DAYS = 3


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return open_warehouse("duckdb", str(tmp_path / "warehouse.duckdb"), wait_s=5)


def put_run(runs: Location, key: str, warehouse: Warehouse, *, table: str = "t") -> RunFolder:
    """A planned run with one staged file."""
    made = plan(Path("/cache"))
    spec = made.spec.model_copy(update={"publish": made.spec.publish.model_copy(update={"table": table})})
    folder = RunFolder.of(runs, spec=spec.name, partition=made.partition, run_key=key)
    folder.write_json(PLAN, made.model_copy(update={"run_key": key, "spec": spec, "warehouse": warehouse.location}))
    folder.write_text("staging/u00000/a.parquet", "rows")
    return folder


def sweep(runs: Location, warehouse: Warehouse, *, later: dt.timedelta, dry_run: bool = False) -> Dropped:
    spec = plan(Path("/cache")).spec.model_copy(update={"retention": Retention(days=DAYS)})
    return vacuum(warehouse, spec, runs, now=dt.datetime.now(dt.UTC) + later, dry_run=dry_run)


def test_old_runs_of_the_table_go_and_others_stay(place: Location, warehouse: Warehouse) -> None:
    old, other = put_run(place, "k1", warehouse), put_run(place, "k2", warehouse, table="other")
    half = RunFolder(old.path.parent / "k3")
    half.write_text("input.json", "a plan that was never made")
    said = sweep(place, warehouse, later=dt.timedelta(days=DAYS, hours=1), dry_run=True)
    assert [path.name for path in said.runs] == ["k1", "k3"]
    assert (said.kept, said.size_bytes > 0) == (0, True)  # what is of other tables does not count
    assert len(set(names_below(place))) == 5
    assert sweep(place, warehouse, later=dt.timedelta(days=DAYS, hours=1)).runs == said.runs
    assert not old.path.exists()
    assert not half.path.exists()
    assert other.has(PLAN)
    assert sweep(place, warehouse, later=dt.timedelta(days=DAYS, hours=1)).runs == ()


def test_what_was_touched_lately_stays(place: Location, warehouse: Warehouse) -> None:
    folder = put_run(place, "k1", warehouse)
    said = sweep(place, warehouse, later=dt.timedelta(days=DAYS - 1))
    assert (said.runs, said.kept) == ((), 1)
    assert folder.has("staging/u00000/a.parquet")


def test_no_runs_at_all_is_no_error(place: Location, warehouse: Warehouse) -> None:
    assert sweep(place, warehouse, later=dt.timedelta(days=99)) == Dropped((), 0, (), kept=0)
