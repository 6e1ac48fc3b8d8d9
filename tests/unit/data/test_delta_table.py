"""Delta tables: the rows that are scored are those that delta-rs itself reads."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from lockstep.errors import InputChanged, PartitionNotFound, TableNotFound, TableUnsupported
from tests.unit.data.tables import DAY, describe, month, of_day, plan, rows, scored, spec

DELTA = {"format": "delta", "path": "sales"}


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """Folder of the table."""
    return tmp_path / "data" / "sales"


def read(where: Path, day: dt.date = DAY) -> pa.Table:
    """Read a day with delta-rs (not with `to_pyarrow_table`, after which the process aborts at its exit)."""
    filesystem = pyarrow.fs.SubTreeFileSystem(str(where), pyarrow.fs.LocalFileSystem())
    return of_day(DeltaTable(where).to_pyarrow_dataset(filesystem=filesystem).to_table(), day)


@pytest.mark.parametrize("partition_by", [["day"], ["shop", "day"], []])
def test_the_rows_are_those_that_delta_reads(tmp_path: Path, where: Path, partition_by: list[str]) -> None:
    for first in (0, 100):
        write_deltalake(
            where, rows(DAY, None, DAY.replace(day=3), DAY, first=first), partition_by=partition_by, mode="append"
        )
    write_deltalake(where, month().slice(0, 1).set_column(3, "shop", pa.array(["a b/é"])), mode="append")
    DeltaTable(where).delete("id = 103")
    folder = plan(tmp_path, spec(DELTA))
    assert scored(folder).equals(read(where))
    assert scored(folder).column("id").to_pylist() == [0, 3, 100]
    assert all(not source.path.endswith("crc") for source in folder.plan(step="test").sources)


def test_partition_values_with_odd_characters(tmp_path: Path, where: Path) -> None:
    odd = rows(DAY, DAY, DAY).set_column(3, "shop", pa.array(["a b", "é%2F/", None]))
    write_deltalake(where, odd, partition_by=["shop", "day"])
    assert scored(plan(tmp_path, spec(DELTA))).equals(odd)


def test_a_column_that_was_added_is_null_before(tmp_path: Path, where: Path) -> None:
    write_deltalake(where, rows(DAY).drop_columns(["shop"]))
    DeltaTable(where).alter.add_columns([Field("shop", PrimitiveType("string"))])
    write_deltalake(where, rows(DAY, first=5), mode="append")
    table = scored(plan(tmp_path, spec(DELTA)))
    assert table.column("shop").to_pylist() == [None, "s2"]
    assert table.equals(read(where))


def test_rows_of_before_there_was_a_day_have_none(tmp_path: Path, where: Path) -> None:
    write_deltalake(where, rows(DAY).drop_columns(["day"]))
    write_deltalake(where, rows(DAY, first=5), mode="append", schema_mode="merge")
    assert scored(plan(tmp_path, spec(DELTA))).column("id").to_pylist() == [5]


def test_a_whole_table(tmp_path: Path, where: Path) -> None:
    write_deltalake(where, month().drop_columns(["day"]))
    table = scored(plan(tmp_path, spec({**DELTA, "whole": True})))
    assert (table.num_rows, set(table.column("day").to_pylist())) == (12, {DAY})
    with pytest.raises(TableUnsupported, match="has no column 'day'"):
        plan(tmp_path, spec(DELTA))


def test_only_changes_of_the_day_count(tmp_path: Path, where: Path) -> None:
    write_deltalake(where, month(), partition_by=["day"])
    folder = plan(tmp_path, spec(DELTA))
    write_deltalake(where, rows(DAY.replace(day=9)), mode="append")
    assert scored(folder).num_rows == 3
    write_deltalake(where, rows(DAY, first=99), mode="append")
    with pytest.raises(InputChanged):
        describe(folder)


def test_a_day_that_the_table_does_not_have(tmp_path: Path, where: Path) -> None:
    write_deltalake(where, month(), partition_by=["day"])
    with pytest.raises(
        PartitionNotFound, match=r"day=2024-01-09 under .*; available: 2024-01-01 to 2024-01-04 \(4 days"
    ):
        plan(tmp_path, spec(DELTA), day=DAY.replace(day=9))
    write_deltalake(where.with_name("plain"), month())
    with pytest.raises(PartitionNotFound, match=r"available: 2024-01-01 to 2024-01-04"):
        plan(tmp_path, spec({**DELTA, "path": "plain"}), day=DAY.replace(day=9))


def test_there_is_no_delta_table(tmp_path: Path, where: Path) -> None:
    with pytest.raises(TableNotFound, match="sales is no Delta table that can be read"):
        plan(tmp_path, spec(DELTA))
    where.mkdir(parents=True)
    with pytest.raises(TableNotFound, match="sales is no Delta table that can be read"):
        plan(tmp_path, spec(DELTA))


def rewrite_log(where: Path, change: Any) -> None:
    """Change each action of the first commit."""
    log = where / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        change(action)
    log.write_text("\n".join(json.dumps(action) for action in actions))


def test_deletion_vectors_are_refused(tmp_path: Path, where: Path) -> None:
    write_deltalake(where, month(), configuration={"delta.enableDeletionVectors": "true"})
    assert scored(plan(tmp_path, spec(DELTA))).equals(of_day(month()))  # enabled, and none is there

    def add_vector(action: dict[str, Any]) -> None:
        if "add" in action:
            vector = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 1, "sizeInBytes": 36}
            action["add"]["deletionVector"] = {**vector, "cardinality": 1}

    rewrite_log(where, add_vector)
    with pytest.raises(TableUnsupported, match=r"of its files have deletion vectors.*Purge them"):
        plan(tmp_path, spec(DELTA))


def test_mapped_columns_and_unknown_features_are_refused(tmp_path: Path, where: Path) -> None:
    write_deltalake(where, month(), configuration={"delta.columnMapping.mode": "name"})
    with pytest.raises(
        TableUnsupported, match=r"columns are mapped \(delta\.columnMapping\.mode\).*Write the table without"
    ):
        plan(tmp_path, spec(DELTA))
