"""The input of a run over a table: units over the table's own files, or over a copy from a database. No Spark."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.data.snapshot import check_same, table_files
from lockstep.data.table_scan import Day, TableScan, scan_table
from lockstep.errors import ColumnMissing, ColumnTypeMismatch, EmptyPartition
from lockstep.run.folder import INPUT, RunFolder
from lockstep.run.plan import Plan, ScoringInput
from lockstep.scoring.pieces import read_footer
from lockstep.scoring.signature import Signature, check
from lockstep.scoring.units import DataFile, plan_units
from lockstep.specs.input_spec import Table
from lockstep.storage.files import location

# Footers are small and a store answers late.
FOOTERS_AT_ONCE = 16


def plan_table_input(folder: RunFolder, table: Table) -> ScoringInput:
    """Plan the units of a run over its table, and write `input.json`; a table of a database is copied first.

    Args:
        folder: A planned run.
        table: The table of its spec.

    Raises:
        InputChanged: The files of the table are no longer those of the plan.
        FileUnreadable: A file is gone or damaged.
        ColumnMissing: The table, or one of its files, lacks a key, pass-through or model column.
        ColumnTypeMismatch: A column has a type that does not fit the signature, or files do not agree on it.
        EmptyPartition: There are fewer rows than `limits.min_rows`.
        DatabaseUnreachable: The database of the table does not answer.
    """
    if table.format == "postgresql":
        from lockstep.data.database_input import copy_table

        return copy_table(folder, table)
    plan = folder.plan(step="materialize")
    scan = scan_table(table, Day(plan.spec.partition.column, plan.partition), location(plan.data_root))
    check_same(plan, table_files(scan))
    files = _with_footers(scan)
    signature = Signature(plan.model.inputs, plan.model.outputs)
    columns = _columns(scan, files, declared=signature.schema)
    wanted = _wanted(plan, columns, label=scan.label)
    if scan.schema is None:
        held = [(file, _stored(file)) for file in files]
        wanted = pa.schema([_agreed(field, held) for field in wanted])
    check(wanted, signature, where=f"table {scan.label}")
    limits = plan.spec.limits
    units = plan_units(None, files, unit_bytes=limits.unit_bytes, unit_rows=limits.unit_rows, schema=wanted)
    rows = sum(unit.rows for unit in units)
    if rows < plan.spec.limits.min_rows:
        raise EmptyPartition("table", path=scan.label, partition=str(plan.partition))
    described = ScoringInput(rows=rows, columns={f.name: str(f.type) for f in columns}, units=units)
    folder.write_json(INPUT, described)
    return described


def _with_footers(scan: TableScan) -> list[DataFile]:
    files = [scanned.file for scanned in scan.files]
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        footers = list(pool.map(lambda file: read_footer(file.path), files))
    known = (mapped(scan, f, footer) for f, footer in zip(files, footers, strict=True))
    return [file for file in known if file is not None]


def mapped(scan: TableScan, file: DataFile, footer: pq.FileMetaData) -> DataFile | None:
    """Give a file the names of the table; none: its rows have no day, because they are older than the day column."""
    constants, renamed = scan.columns_of(footer)
    constants = {**constants, **file.constants}
    where = file.where
    if where is not None and where.column in constants:
        if constants[where.column] != where.day.isoformat():
            return None
        where = None
    elif where is not None:
        where = where.model_copy(update={"column": renamed.get(where.column, where.column)})
    renamed = {name: stored for name, stored in renamed.items() if name not in constants}
    return replace(file, footer=footer, constants=constants, renamed=renamed, where=where)


def _columns(scan: TableScan, files: Sequence[DataFile], *, declared: pa.Schema) -> pa.Schema:
    """Return all columns of the table: its own schema, or what the first file holds; then those of its partitions.

    A partition is a text in a path: it has the type that the model declares, or stays a text.
    """
    schema = scan.schema
    if schema is None:
        schema = _stored(files[0]) if files else pa.schema([])
    constants = dict.fromkeys(name for file in files for name in file.constants)
    types = dict(zip(declared.names, declared.types, strict=True))
    of_partitions = [pa.field(name, types.get(name, pa.string())) for name in constants if name not in schema.names]
    return pa.schema([*(pa.field(f.name, f.type) for f in schema), *of_partitions])


def _stored(file: DataFile) -> pa.Schema:
    if file.footer is None:  # every file has got its footer above
        raise ValueError(f"the footer of {file.path} was not read")
    return file.footer.schema.to_arrow_schema()


def _wanted(plan: Plan, columns: pa.Schema, *, label: str) -> pa.Schema:
    """Return the columns of the run: those that are carried to the output, then the model's, with their types."""
    fields = []
    for name in dict.fromkeys([*plan.spec.carried, *(column.name for column in plan.model.inputs)]):
        if name == plan.spec.partition.column:
            fields.append(pa.field(name, pa.date32()))
        elif name in columns.names:
            fields.append(pa.field(name, columns.field(name).type))
        elif name in plan.spec.carried:
            expected = "a key or pass-through column of the spec"
            raise ColumnMissing(name, where=f"table {label}", expected=expected, got=columns.names)
    return pa.schema(fields)


def _agreed(field: pa.Field, files: Sequence[tuple[DataFile, pa.Schema]]) -> pa.Field:
    """Widen a column's type until it holds that of every file, or refuse: plain files have no schema of their own."""
    kind = field.type
    for file, stored in files:
        if field.name in file.constants:
            continue
        index = stored.get_field_index(field.name)
        if index < 0:
            expected = "it, as in the other files of the table"
            raise ColumnMissing(field.name, where=file.path, expected=expected, got=stored.names)
        if pa.types.is_date(kind):  # the day may be a text
            continue
        try:
            both = [pa.schema([pa.field(field.name, some)]) for some in (kind, stored.field(index).type)]
            kind = pa.unify_schemas(both, promote_options="permissive").field(0).type
        except pa.ArrowException as error:
            got, expected = str(stored.field(index).type), f"{kind}, as in the other files of the table"
            raise ColumnTypeMismatch(field.name, where=file.path, expected=expected, got=got) from error
    return pa.field(field.name, kind)
