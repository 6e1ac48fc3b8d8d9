"""Plain Parquet tables: files, folders, hive partitions, URLs; and every way in which they may be wrong."""

import datetime as dt
import time
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.data.snapshot import take_snapshot
from lockstep.errors import (
    ColumnMissing,
    ColumnTypeMismatch,
    EmptyPartition,
    FileUnreadable,
    InputChanged,
    PartitionNotFound,
    SourceFileChanged,
    TableNotFound,
    TableUnsupported,
)
from lockstep.run.plan import Column
from lockstep.scoring.units import read_unit
from tests.unit.data.tables import DAY, INPUTS, describe, month, of_day, plan, rows, scored, spec, write

OTHER = DAY + dt.timedelta(days=1)


@pytest.fixture
def hive(tmp_path: Path) -> Path:
    """A table of four days, the second in two files."""
    root = tmp_path / "data" / "sales"
    for number in range(1, 5):
        day = DAY.replace(day=number)
        write(of_day(month(), day).drop_columns(["day"]), root, f"day={day}", "a.parquet")
    write(rows(DAY, DAY, first=100).drop_columns(["day"]), root, f"day={DAY}", "b.parquet")
    (root / f"day={DAY}" / "_SUCCESS").touch()
    (root / f"day={DAY}" / ".b.parquet.crc").write_bytes(b"x")
    return root


@pytest.mark.parametrize("path", ["sales", "absolute", "url"])
def test_a_hive_partition(tmp_path: Path, hive: Path, path: str) -> None:
    given = {"sales": "sales", "absolute": str(hive), "url": f"file://{hive}"}[path]
    folder = plan(tmp_path, spec({"path": given}))
    expected = pa.concat_tables([of_day(month()), rows(DAY, DAY, first=100)])
    assert scored(folder).equals(expected)
    files = {Path(f.path).relative_to(hive).as_posix() for f in folder.plan(step="test").sources}
    assert files == {f"day={DAY}/a.parquet", f"day={DAY}/b.parquet"}


def test_partitions_below_the_day_are_columns_of_the_declared_type(tmp_path: Path) -> None:
    root = tmp_path / "data" / "sales"
    for number, (hour, shop) in enumerate([("07", "a%2Fb"), ("23", "__HIVE_DEFAULT_PARTITION__")]):
        one = rows(DAY, first=number).drop_columns(["day", "shop"])
        write(one, root, f"shop={shop}", f"day={DAY}", f"hour={hour}", "a.parquet")
        write(one, root, f"shop={shop}", f"day={OTHER}", f"hour={hour}", "a.parquet")
    inputs = (*INPUTS, Column(name="hour", dtype="long"))
    table = scored(plan(tmp_path, spec({"path": "sales"}), inputs=inputs), columns=("id", "shop", "hour", "day"))
    assert table.to_pydict() == {"id": [0, 1], "shop": ["a/b", None], "hour": [7, 23], "day": [DAY, DAY]}
    assert table.schema.types == [pa.int64(), pa.string(), pa.int64(), pa.date32()]


@pytest.mark.parametrize("group_rows", [3, 100])
def test_the_day_may_be_a_plain_column(tmp_path: Path, group_rows: int) -> None:
    for name, table in (("mixed", month()), ("sorted", month().sort_by("day"))):
        write(table, tmp_path, "data", name, "a.parquet", row_group_size=group_rows)
        assert scored(plan(tmp_path, spec({"path": name}))).equals(of_day(month()))
    assert scored(plan(tmp_path, spec({"path": "mixed/a.parquet"}))).equals(of_day(month()))


def test_row_groups_of_other_days_are_not_planned(tmp_path: Path) -> None:
    write(month().sort_by("day"), tmp_path, "data", "t", "a.parquet", row_group_size=3)
    [unit] = describe(plan(tmp_path, spec({"path": "t"}))).units
    assert [(p.row_group_start, p.row_group_stop, p.where) for p in unit.pieces] == [(1, 2, None)]


def test_a_table_without_days_is_scored_whole_when_the_spec_says_so(tmp_path: Path) -> None:
    write(month().drop_columns(["day"]), tmp_path, "data", "t", "a.parquet")
    table = scored(plan(tmp_path, spec({"path": "t", "whole": True})))
    assert table.num_rows == 12
    assert set(table.column("day").to_pylist()) == {DAY}
    with pytest.raises(TableUnsupported, match=r"has no column 'day', .* say 'whole: true' in input\.table"):
        plan(tmp_path, spec({"path": "t"}))
    write(month(), tmp_path, "data", "u", "a.parquet")
    with pytest.raises(TableUnsupported, match=r"it has the partition column 'day', and the spec says 'whole: true'"):
        plan(tmp_path, spec({"path": "u", "whole": True}))


def test_a_store_that_only_fsspec_knows(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.rm("/shop", recursive=True) if memory.exists("/shop") else None
    for day in (DAY, OTHER):
        with memory.open(f"/shop/sales/day={day}/a.parquet", "wb") as stream:
            pq.write_table(of_day(month(), day).drop_columns(["day"]), stream)
    folder = plan(tmp_path, spec({"path": "memory://shop/sales"}))
    assert scored(folder).equals(of_day(month()))
    [source] = folder.plan(step="test").sources
    assert source.path == f"memory://shop/sales/day={DAY}/a.parquet"
    assert source.mtime_ns > 0
    time.sleep(0.002)
    with memory.open(f"/shop/sales/day={DAY}/a.parquet", "wb") as stream:
        pq.write_table(of_day(month(), DAY).drop_columns(["day"]), stream)
    with pytest.raises(InputChanged, match=r"2024-01-02 changed after the run was planned"):
        describe(folder)


def test_only_wanted_columns_are_planned_and_all_can_be_checked(tmp_path: Path) -> None:
    write(month().append_column("note", pa.array(["x" * 1000] * 12)), tmp_path, "data", "t", "a.parquet")
    folder = plan(tmp_path, spec({"path": "t"}))
    described = describe(folder)
    assert described.columns == {
        "day": "date32[day]",
        "id": "int64",
        "km": "double",
        "shop": "string",
        "note": "string",
    }
    assert scored(folder, columns=("note",)).column("note").to_pylist() == ["x" * 1000] * 3


def test_files_that_differ_in_width_agree_on_the_widest(tmp_path: Path) -> None:
    narrow = (
        month()
        .set_column(1, "id", pa.array(range(12), pa.int32()))
        .set_column(2, "km", pa.array([1.5] * 12, pa.float32()))
    )
    write(narrow, tmp_path, "data", "t", "a.parquet")
    write(rows(DAY, first=2**40), tmp_path, "data", "t", "b.parquet")
    table = scored(plan(tmp_path, spec({"path": "t"})))
    assert table.schema.field("id").type == pa.int64()
    assert table.column("id").to_pylist() == [1, 5, 9, 2**40]


def test_a_day_without_rows(tmp_path: Path, hive: Path) -> None:
    with pytest.raises(PartitionNotFound, match=r"day=2024-01-09 under .*sales; available: 2024-01-01 to 2024-01-04"):
        plan(tmp_path, spec({"path": "sales"}), day=DAY.replace(day=9))
    write(month(), tmp_path, "data", "t", "a.parquet")
    with pytest.raises(EmptyPartition, match=r"partition 2024-01-09 of 'table' holds 0 rows"):
        describe(plan(tmp_path, spec({"path": "t"}), day=DAY.replace(day=9)))
    empty = plan(tmp_path, spec({"path": "t"}, limits={"min_rows": 0}), day=DAY.replace(day=9))
    assert describe(empty).units == ()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nowhere", "nowhere is no Parquet table that can be read: there is no such file or folder"),
        ("empty", r"no file in it ends in \.parquet"),
        ("zz://bucket/t", "no access to zz://bucket|Protocol not known: zz"),
    ],
)
def test_there_is_no_table(tmp_path: Path, path: str, told: str) -> None:
    (tmp_path / "data" / "empty").mkdir(parents=True)
    (tmp_path / "data" / "empty" / "x.csv").touch()
    with pytest.raises(TableNotFound, match=told):
        plan(tmp_path, spec({"path": path}))


def test_a_file_that_is_no_parquet_file(tmp_path: Path, hive: Path) -> None:
    (hive / f"day={DAY}" / "c.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(FileUnreadable, match=r"c\.parquet cannot be read: .*expected a Parquet file"):
        describe(plan(tmp_path, spec({"path": "sales"})))


@pytest.mark.parametrize(
    ("second", "error", "told"),
    [
        (
            rows(DAY).drop_columns(["km"]),
            ColumnMissing,
            r"'km' is missing in .*b\.parquet; expected it, as in the other",
        ),
        (
            rows(DAY).set_column(2, "km", pa.array(["far"])),
            ColumnTypeMismatch,
            r"'km' in .*b\.parquet.*expected double",
        ),
    ],
)
def test_files_that_do_not_agree(tmp_path: Path, second: pa.Table, error: Any, told: str) -> None:
    write(rows(DAY), tmp_path, "data", "t", "a.parquet")
    write(second, tmp_path, "data", "t", "b.parquet")
    with pytest.raises(error, match=told):
        describe(plan(tmp_path, spec({"path": "t"})))


def test_columns_that_the_key_or_the_model_misses(tmp_path: Path) -> None:
    write(rows(DAY).drop_columns(["id"]), tmp_path, "data", "t", "a.parquet")
    with pytest.raises(ColumnMissing, match=r"'id' is missing in table .*t; expected a key or pass-through column"):
        describe(plan(tmp_path, spec({"path": "t"})))
    write(rows(DAY).drop_columns(["km"]), tmp_path, "data", "u", "a.parquet")
    with pytest.raises(ColumnMissing, match=r"'km' is missing in table .*u; expected a column of type double"):
        describe(plan(tmp_path, spec({"path": "u"})))
    write(rows(DAY).set_column(2, "km", pa.array(["far"])), tmp_path, "data", "v", "a.parquet")
    with pytest.raises(ColumnTypeMismatch, match=r"'km' in table .*v has the wrong type: expected double, got string"):
        describe(plan(tmp_path, spec({"path": "v"})))
    write(rows(DAY).drop_columns(["shop"]), tmp_path, "data", "w", "a.parquet")  # the model can do without
    assert scored(plan(tmp_path, spec({"path": "w"}))).column_names == ["day", "id", "km"]


def test_a_change_after_the_plan_is_noticed(tmp_path: Path, hive: Path) -> None:
    folder = plan(tmp_path, spec({"path": "sales"}))
    [unit] = describe(folder).units
    before = take_snapshot(spec({"path": "sales"}), DAY, tmp_path / "data")
    write(rows(DAY, first=7).drop_columns(["day"]), hive, f"day={OTHER}", "late.parquet")
    assert take_snapshot(spec({"path": "sales"}), DAY, tmp_path / "data") == before
    write(rows(DAY, first=7).drop_columns(["day"]), hive, f"day={DAY}", "b.parquet")
    with pytest.raises(InputChanged, match=r"\(2 files differ\)"):
        describe(folder)
    with pytest.raises(SourceFileChanged, match=r"b\.parquet changed after the run was planned: expected .* bytes"):
        list(read_unit(folder.path, unit, columns=["id"], batch_rows=10))
