"""The files of a day in an Iceberg table, planned by PyIceberg; columns are found by their field ids."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.data.table_scan import Day, Mapping, ScannedFile, TableScan, absolute, check_whole, not_found
from lockstep.errors import ColumnTypeMismatch, TableNotFound, TableUnsupported
from lockstep.scoring import storage
from lockstep.scoring.units import DataFile
from lockstep.specs.input_spec import Table
from lockstep.storage.files import Location

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask
    from pyiceberg.table import Table as IcebergTable

COMPACT = "Compact the table (rewrite_data_files), or score a copy that input.query makes"


def scan_iceberg(table: Table, day: Day, data_root: Location) -> TableScan:
    """Find the day in an Iceberg table, by its partitions and its column statistics.

    Raises:
        TableNotFound: There is no Iceberg table, or no catalog.
        TableUnsupported: Delete files apply to the day, or data files are not Parquet.
        PartitionNotFound: It has no file for the day.
        ColumnTypeMismatch: The day column holds neither dates nor texts.
    """
    label = table.label if table.path is None else absolute(table.path, data_root)
    iceberg = iceberg_table(table, label)
    schema = iceberg.schema()
    names = [field.name for field in schema.fields]
    check_whole(table, day, has_column=day.column in names, label=label)
    tasks = _tasks(iceberg, None if table.whole else day, label)
    _check_tasks(tasks, day, label)
    if not tasks:
        raise not_found(label, day, available="other days, if any")
    version = f"schema {schema.schema_id}"
    identity = None if table.whole else _identity_specs(iceberg, day)
    files = [ScannedFile(_data_file(task, day, identity=identity), version) for task in tasks]
    files.sort(key=lambda scanned: scanned.file.path)
    return TableScan(label, tuple(files), schema=_arrow_schema(schema), columns_of=_by_field_id(iceberg, label))


def iceberg_table(table: Table, label: str) -> "IcebergTable":
    """Open an Iceberg table, or raise `TableNotFound`; `label` is its path where it has one."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchTableError, NotInstalledError, RESTError
    from pyiceberg.table import StaticTable
    from sqlalchemy.exc import SQLAlchemyError

    try:
        if table.path is not None:
            return StaticTable.from_metadata(label, dict(table.properties))
        return load_catalog(table.catalog, **table.properties).load_table(str(table.name))
    except (
        NoSuchTableError, NotInstalledError, RESTError, SQLAlchemyError, OSError, ValueError, TypeError, LookupError,
    ) as error:  # fmt: skip
        raise TableNotFound(label, kind="Iceberg", reason=storage.reason(error)) from error


def _tasks(iceberg: "IcebergTable", day: Day | None, label: str) -> "list[FileScanTask]":
    from pyiceberg.expressions import AlwaysTrue, EqualTo
    from pyiceberg.types import DateType, StringType

    row_filter: Any = AlwaysTrue()
    if day is not None:
        kind = iceberg.schema().find_field(day.column).field_type
        if not isinstance(kind, DateType | StringType):
            raise ColumnTypeMismatch(day.column, where=label, expected="date (or text as YYYY-MM-DD)", got=str(kind))
        equal_to: Any = EqualTo  # its annotations are those of the fields, not of its constructor
        row_filter = equal_to(day.column, day.value.isoformat())
    try:
        return list(iceberg.scan(row_filter=row_filter).plan_files())
    except OSError as error:
        raise TableNotFound(label, kind="Iceberg", reason=storage.reason(error)) from error
    except (ValueError, NotImplementedError) as error:  # equality deletes
        deletes = _equality_deletes(iceberg)
        if not deletes:
            raise TableNotFound(label, kind="Iceberg", reason=storage.reason(error)) from error
        raise TableUnsupported(label, problem=f"it has {deletes} equality delete files", advice=COMPACT) from error


def _equality_deletes(iceberg: "IcebergTable") -> int:
    snapshot = iceberg.current_snapshot()
    told = snapshot.summary if snapshot is not None else None
    return int(told["total-delete-files"] or 0) if told is not None else 0


def _check_tasks(tasks: "list[FileScanTask]", day: Day, label: str) -> None:
    deletes = {str(delete.file_path) for task in tasks for delete in task.delete_files}
    if deletes:
        problem = f"{len(deletes)} delete files apply to the rows of {day.value}, and deleted rows would be scored"
        raise TableUnsupported(label, problem=problem, advice=COMPACT)
    others = sorted({str(task.file.file_format.value) for task in tasks} - {"PARQUET"})
    if others:
        problem = f"it has data files of the format {', '.join(others)}; expected Parquet"
        raise TableUnsupported(label, problem=problem, advice="Rewrite the table as Parquet")


def _identity_specs(iceberg: "IcebergTable", day: Day) -> set[int]:
    """Return the partition specs of which one partition holds one day and nothing else."""
    from pyiceberg.transforms import IdentityTransform

    column = iceberg.schema().find_field(day.column).field_id
    return {
        spec.spec_id
        for spec in iceberg.specs().values()
        for field in spec.fields
        if field.source_id == column and isinstance(field.transform, IdentityTransform)
    }


def _data_file(task: "FileScanTask", day: Day, *, identity: set[int] | None) -> DataFile:
    """Describe a file: `identity` are the specs whose partitions are days; none: the table has no days."""
    is_day = identity is None or task.file.spec_id in identity
    return DataFile(
        path=storage.local_path(task.file.file_path),
        constants={day.column: day.value.isoformat()} if is_day else {},
        where=None if is_day else day.filter(),
        size_bytes=int(task.file.file_size_in_bytes),
    )


def _arrow_schema(schema: "Schema") -> pa.Schema:
    fields = []
    for field in schema.as_arrow():
        kind = pa.string() if pa.types.is_large_string(field.type) else field.type
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def _by_field_id(iceberg: "IcebergTable", label: str) -> Mapping:
    """Map the table's columns to a file's: renamed ones by field id; what a file does not have is null."""
    from pyiceberg.io.pyarrow import pyarrow_to_schema

    schema, names = iceberg.schema(), iceberg.name_mapping()

    def columns_of(footer: pq.FileMetaData) -> tuple[dict[str, str | None], dict[str, str]]:
        try:
            arrow = footer.schema.to_arrow_schema()
            stored = pyarrow_to_schema(arrow, name_mapping=names, downcast_ns_timestamp_to_us=True)
        except (ValueError, TypeError) as error:
            problem = f"the columns of a data file cannot be told apart: {storage.reason(error)}"
            raise TableUnsupported(label, problem=problem, advice="Set schema.name-mapping.default on it") from error
        by_id = {field.field_id: field.name for field in stored.fields}
        constants: dict[str, str | None] = {}
        renamed: dict[str, str] = {}
        for field in schema.fields:
            name = by_id.get(field.field_id)
            if name is None:
                default = field.initial_default
                constants[field.name] = None if default is None else str(default)
            elif name != field.name:
                renamed[field.name] = name
        return constants, renamed

    return columns_of
