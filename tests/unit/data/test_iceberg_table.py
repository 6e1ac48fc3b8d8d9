"""Iceberg tables in a real catalog: the rows that are scored are those that PyIceberg itself reads."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.expressions import EqualTo
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform, MonthTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, StringType
from pyiceberg.utils.config import Config

from lockstep.errors import ColumnTypeMismatch, InputChanged, PartitionNotFound, TableNotFound, TableUnsupported
from tests.unit.data.tables import DAY, describe, month, of_day, plan, rows, scored, spec

COLUMNS = ("day", "id", "km", "shop")


@pytest.fixture
def properties(tmp_path: Path) -> dict[str, str]:
    """Properties of a catalog of its own."""
    return {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/warehouse"}


@pytest.fixture
def catalog(properties: dict[str, str]) -> Any:
    """The catalog, with a namespace."""
    found = load_catalog("lake", **properties)
    found.create_namespace("shop")
    yield found
    found.close()


def source(properties: dict[str, str]) -> dict[str, Any]:
    """The table as a spec names it."""
    return {"format": "iceberg", "catalog": "lake", "name": "shop.sales", "properties": properties}


def partitioned(catalog: Catalog, transform: Any, column: str = "day", *, schema: pa.Schema | None = None) -> Table:
    table = catalog.create_table("shop.sales", schema=schema or month().schema)
    if transform is not None:
        with table.update_spec() as update:
            update.add_field(column, transform, f"by_{column}")
    return table


def read(table: Table, day: dt.date = DAY) -> pa.Table:
    """Read a day with PyIceberg."""
    found = table.refresh().scan(row_filter=EqualTo("day", day.isoformat()), selected_fields=COLUMNS).to_arrow()
    return found.cast(
        pa.schema([(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in found.schema])
    ).sort_by("id")


@pytest.mark.parametrize(
    ("transform", "column"),
    [(IdentityTransform(), "day"), (IdentityTransform(), "shop"), (None, "day")],
)
def test_the_rows_are_those_that_pyiceberg_reads(
    tmp_path: Path, catalog: Catalog, properties: dict[str, str], transform: Any, column: str
) -> None:
    table = partitioned(catalog, transform, column)
    table.append(month())
    table.append(rows(DAY, None, DAY.replace(month=2), DAY, first=100))
    folder = plan(tmp_path, spec(source(properties)))
    assert scored(folder).equals(read(table))
    assert scored(folder).column("id").to_pylist() == [1, 5, 9, 100, 103]
    assert {f.version for f in folder.plan(step="test").sources} == {"schema 0"}


def test_a_partition_that_is_no_day(tmp_path: Path, catalog: Catalog, properties: dict[str, str]) -> None:
    table = partitioned(catalog, MonthTransform())
    for name, some in (("a", month()), ("b", rows(DAY.replace(month=2), first=50))):
        pq.write_table(some, tmp_path / f"{name}.parquet")
        table.add_files([f"file://{tmp_path}/{name}.parquet"])
    folder = plan(tmp_path, spec(source(properties)))
    assert scored(folder).equals(read(table))
    assert [Path(f.path).name for f in folder.plan(step="test").sources] == ["a.parquet"]


def test_renamed_added_dropped_and_widened_columns(
    tmp_path: Path, catalog: Catalog, properties: dict[str, str]
) -> None:
    old = rows(DAY, DAY).rename_columns(["day", "id", "distance", "km"])  # 'km' was a text once
    old = old.set_column(1, "id", old.column("id").cast(pa.int32()))
    table = partitioned(catalog, IdentityTransform(), schema=old.schema)
    table.append(old)
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("km")
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.rename_column("distance", "km").add_column("shop", StringType()).update_column("id", LongType())
    table.append(rows(DAY, first=7))
    result = scored(plan(tmp_path, spec(source(properties))))
    assert result.equals(read(table))
    assert result.to_pydict() == {
        "day": [DAY] * 3, "id": [0, 1, 7], "km": [0.0, 0.5, 3.5], "shop": [None, None, "s1"],
    }  # fmt: skip


def test_a_column_that_came_back_under_its_name_is_another(
    tmp_path: Path, catalog: Catalog, properties: dict[str, str]
) -> None:
    table = partitioned(catalog, None)
    table.append(rows(DAY))
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("km")
    with table.update_schema() as update:
        update.add_column("km", DoubleType())
    assert scored(plan(tmp_path, spec(source(properties)))).column("km").to_pylist() == [None]


def test_a_table_by_its_metadata_file(tmp_path: Path, catalog: Catalog) -> None:
    table = partitioned(catalog, IdentityTransform())
    table.append(month())
    assert scored(plan(tmp_path, spec({"format": "iceberg", "path": table.metadata_location}))).equals(of_day(month()))


def test_a_catalog_of_pyicebergs_own_configuration(
    tmp_path: Path, catalog: Catalog, properties: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    partitioned(catalog, None).append(month())
    lines = ["catalog:", "  lake:", *(f"    {key}: {value}" for key, value in properties.items())]
    (tmp_path / ".pyiceberg.yaml").write_text("\n".join(lines))
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    named = {"format": "iceberg", "catalog": "lake", "name": "shop.sales"}
    assert scored(plan(tmp_path, spec(named))).equals(of_day(month()))


def test_files_without_field_ids_are_mapped_by_name(
    tmp_path: Path, catalog: Catalog, properties: dict[str, str]
) -> None:
    table = partitioned(catalog, None)
    file = tmp_path / "loose.parquet"
    pq.write_table(month(), file)
    table.add_files([f"file://{file}"])
    assert scored(plan(tmp_path, spec(source(properties)))).equals(of_day(month()))


def test_a_whole_table(tmp_path: Path, catalog: Catalog, properties: dict[str, str]) -> None:
    table = catalog.create_table("shop.sales", schema=month().drop_columns(["day"]).schema)
    table.append(month().drop_columns(["day"]))
    result = scored(plan(tmp_path, spec({**source(properties), "whole": True})))
    assert (result.num_rows, set(result.column("day").to_pylist())) == (12, {DAY})
    with pytest.raises(TableUnsupported, match="has no column 'day'"):
        plan(tmp_path, spec(source(properties)))


def test_only_changes_of_the_day_count(tmp_path: Path, catalog: Catalog, properties: dict[str, str]) -> None:
    table = partitioned(catalog, IdentityTransform())
    table.append(month())
    folder = plan(tmp_path, spec(source(properties)))
    table.append(rows(DAY.replace(day=9)))
    assert scored(folder).num_rows == 3
    table.append(rows(DAY, first=99))
    with pytest.raises(InputChanged):
        describe(folder)


def test_what_is_not_there(tmp_path: Path, catalog: Catalog, properties: dict[str, str]) -> None:
    with pytest.raises(TableNotFound, match=r"lake:shop\.sales is no Iceberg table.*Table does not exist: shop\.sales"):
        plan(tmp_path, spec(source(properties)))
    with pytest.raises(TableNotFound, match="nowhere is no Iceberg table"):
        plan(tmp_path, spec({"format": "iceberg", "path": "nowhere"}))
    with pytest.raises(TableNotFound, match="URI missing"):
        plan(tmp_path, spec({"format": "iceberg", "catalog": "nobody_knows", "name": "shop.sales"}))
    with pytest.raises(TableNotFound, match=r"unable to open|catalog"):
        plan(tmp_path, spec(source({**properties, "uri": f"sqlite:///{tmp_path}/no/such.db"})))
    partitioned(catalog, IdentityTransform()).append(month())
    with pytest.raises(PartitionNotFound, match="day=2024-01-09"):
        plan(tmp_path, spec(source(properties)), day=DAY.replace(day=9))


def test_a_day_column_that_is_no_date(tmp_path: Path, catalog: Catalog, properties: dict[str, str]) -> None:
    table = month().set_column(
        0, "day", pa.array([dt.datetime(2024, 1, 2, tzinfo=dt.UTC)] * 12, pa.timestamp("us", "UTC"))
    )
    catalog.create_table("shop.sales", schema=table.schema).append(table)
    with pytest.raises(ColumnTypeMismatch, match=r"'day' in lake:shop\.sales.*expected date .*got timestamp"):
        plan(tmp_path, spec(source(properties)))


def write_delete_file(table: Table, folder: Path, content: DataFileContent) -> None:
    """Commit a delete file, as Spark and Flink write them; PyIceberg itself never does."""
    file = folder / "delete.parquet"
    pq.write_table(pa.table({"file_path": ["x"], "pos": [0]}), file)
    delete = DataFile.from_args(
        content=content, file_path=f"file://{file}", file_format=FileFormat.PARQUET, partition=Record(), record_count=1,
        file_size_in_bytes=file.stat().st_size, column_sizes={}, value_counts={}, null_value_counts={},
        nan_value_counts={}, lower_bounds={}, upper_bounds={}, split_offsets=None, sort_order_id=None,
        equality_ids=[2] if content == DataFileContent.EQUALITY_DELETES else None,
    )  # fmt: skip
    delete.spec_id = table.spec().spec_id
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        append.append_data_file(delete)


@pytest.mark.parametrize(("content", "told"), [
    (DataFileContent.POSITION_DELETES, "1 delete files apply to the rows of 2024-01-02"),
    (DataFileContent.EQUALITY_DELETES, "it has 1 equality delete files"),
])  # fmt: skip
def test_delete_files_are_refused(
    tmp_path: Path, catalog: Catalog, properties: dict[str, str], content: Any, told: str
) -> None:
    table = partitioned(catalog, None)
    table.append(month())
    write_delete_file(table, tmp_path, content)
    with pytest.raises(TableUnsupported, match=rf"{told}.*Compact the table.*input\.query"):
        plan(tmp_path, spec(source(properties)))
