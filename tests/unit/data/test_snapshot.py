"""The input snapshot: bad input is found before anything is computed."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.data.snapshot import partitions, take_snapshot
from lockstep.errors import ColumnMissing, ColumnTypeMismatch, DateInvalid, EmptyPartition, PartitionNotFound
from lockstep.specs.spec import ScoringSpec

DAY = dt.date(2024, 1, 10)
GOOD = pa.table({"id": pa.array([1], pa.int32()), "spend": [2.5]})


def spec(**limits: int) -> ScoringSpec:
    """A spec over a day, the three days before it and a static table."""
    columns = {"id": "long", "spend": "double"}
    return ScoringSpec.model_validate(
        {
            "name": "s",
            "model": {"name": "m"},
            "schedule": {"cron": "0 6 * * *", "start": "2024-01-05"},
            "input": {
                "query": "q.sql",
                "sources": {
                    "today": {"path": "sales", "partition": "day", "days": [0, 0], "columns": columns},
                    "before": {"path": "sales", "partition": "day", "days": [-3, -1], "columns": columns},
                    "shops": {"path": "shops", "columns": {"id": "long"}},
                },
            },
            "partition": {"column": "day"},
            "key": ["day", "id"],
            "output": {"column": "score"},
            "publish": {"table": "t"},
            "limits": limits,
        }
    )


def write(root: Path, day: dt.date, table: pa.Table = GOOD) -> Path:
    """Write one day of sales."""
    file = root / "sales" / f"day={day}" / "part-0.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sales of January 5 to 12, and shops."""
    for number in range(5, 13):
        write(tmp_path, DAY.replace(day=number))
    (tmp_path / "shops").mkdir()
    pq.write_table(GOOD, tmp_path / "shops" / "a.parquet")
    (tmp_path / "shops" / "_SUCCESS").touch()
    return tmp_path


def test_only_the_windows_are_read(root: Path) -> None:
    files = take_snapshot(spec(), DAY, root)
    found = {(f.view, Path(f.path).parent.name) for f in files}
    days = {("before", f"day=2024-01-{n:02}") for n in (7, 8, 9)}
    assert found == days | {("today", "day=2024-01-10"), ("shops", "shops")}
    assert take_snapshot(spec(), DAY, root) == files


def test_a_window_may_reach_before_the_data(root: Path) -> None:
    assert len(take_snapshot(spec(), DAY.replace(day=6), root)) == 3


def test_a_day_outside_the_data(root: Path) -> None:
    with pytest.raises(PartitionNotFound, match=r"day=2024-01-20.*available: 2024-01-05 to 2024-01-12 \(8 days\)"):
        take_snapshot(spec(), DAY.replace(day=20), root)
    with pytest.raises(DateInvalid, match=r"before the spec's schedule\.start 2024-01-05"):
        take_snapshot(spec(), DAY.replace(day=4), root)
    schedule = {"cron": "0 6 * * *", "start": "2024-01-05", "end": "2024-01-08"}
    bounded = ScoringSpec.model_validate({**spec().model_dump(), "schedule": schedule})
    with pytest.raises(DateInvalid, match=r"after the spec's schedule\.end 2024-01-08"):
        take_snapshot(bounded, DAY, root)


def test_an_empty_day(root: Path) -> None:
    write(root, DAY, GOOD.slice(0, 0))
    with pytest.raises(EmptyPartition, match="holds 0 rows"):
        take_snapshot(spec(), DAY, root)
    assert take_snapshot(spec(min_rows=0), DAY, root)


def test_a_missing_column_and_a_wrong_type(root: Path) -> None:
    write(root, DAY, GOOD.drop_columns(["spend"]))
    with pytest.raises(ColumnMissing, match=r"'spend' is missing in sales/day=2024-01-10/part-0.parquet"):
        take_snapshot(spec(), DAY, root)
    write(root, DAY, GOOD.set_column(1, "spend", pa.array(["much"])))
    with pytest.raises(ColumnTypeMismatch, match=r"'spend'.*expected double, got string"):
        take_snapshot(spec(), DAY, root)


def test_folders_that_are_no_days_are_passed_over(root: Path) -> None:
    (root / "sales" / "day=__HIVE_DEFAULT_PARTITION__").mkdir()
    assert len(partitions(root / "sales", "day")) == 8
