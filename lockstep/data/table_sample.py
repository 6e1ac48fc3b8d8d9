"""Some rows of a table's day, to try a model on without reading all of it."""

import datetime as dt
import math
from collections.abc import Sequence

import pyarrow as pa

from lockstep.data.table_input import mapped
from lockstep.data.table_scan import Day, scan_table
from lockstep.run.plan import Column, Unit
from lockstep.scoring.pieces import read_footer, schema_text
from lockstep.scoring.rows import fitting_rows
from lockstep.scoring.signature import Signature, select
from lockstep.scoring.units import plan_units, read_unit
from lockstep.specs.input_spec import Table
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location

UNIT_BYTES = 16 << 20


def first_rows(
    spec: ScoringSpec, partition: dt.date, data_root: Location, *, inputs: Sequence[Column], rows: int
) -> pa.RecordBatch:
    """Read the first rows of a table input that a model can be given, at most `rows`, in its types.

    Raises:
        InputError: The table cannot be read, or does not fit the model.
    """
    if spec.input.table is None:
        raise ValueError("only a table input can be read before the run is planned")
    signature = Signature(tuple(inputs), ())
    day = Day(spec.partition.column, partition)
    if spec.input.table.format == "postgresql":
        return _of_database(spec.input.table, day, signature, rows=rows)
    scan = scan_table(spec.input.table, day, data_root)
    types = schema_text(signature.schema)
    names = signature.schema.names
    found: list[pa.RecordBatch] = []
    left = rows
    for scanned in scan.files:
        file = mapped(scan, scanned.file, read_footer(scanned.file.path))
        for unit in () if file is None else plan_units(None, [file], unit_bytes=UNIT_BYTES):
            # Types of partition columns are the model's; those of the files are widened here.
            known = unit.model_copy(update={"arrow_schema": types if file and file.constants else ""})
            for batch in read_unit(None, known, columns=names, batch_rows=left):
                found.append(_fitting(batch.slice(0, left), signature, where=f"table {scan.label}"))
                left -= found[-1].num_rows
                if left <= 0:
                    return _joined(found, signature)
    return _joined(found, signature)


def _of_database(table: Table, day: Day, signature: Signature, *, rows: int) -> pa.RecordBatch:
    from lockstep.data.database_table import open_table

    with open_table(table) as source:
        names = [name for name in signature.schema.names if name in {*source.columns, day.column}]
        found = source.read(names, day, most=rows).read_all()
    where = f"table {table.label}"
    return _joined([_fitting(batch, signature, where=where) for batch in found.to_batches()], signature)


def spread_rows(root: Location | None, units: Sequence[Unit], *, columns: Sequence[str], most: int) -> pa.Table:
    """Read the same share of the rows of each unit, so that a sample is from all parts of a day.

    Args:
        root: Folder that relative file names start from.
        units: At least one.
        columns: Wanted columns.
        most: Rows to read at most.

    Raises:
        InputError: What reading a unit raises.
    """
    share = min(most / sum(unit.rows for unit in units), 1)
    parts = []
    for unit in units:
        left = math.ceil(unit.rows * share)
        for batch in read_unit(root, unit, columns=columns, batch_rows=left):
            parts.append(pa.Table.from_batches([batch.slice(0, left)]))
            left -= batch.num_rows
            if left <= 0:
                break
    return pa.concat_tables(parts, promote_options="permissive").slice(0, most).combine_chunks()


def _fitting(batch: pa.RecordBatch, signature: Signature, *, where: str) -> pa.RecordBatch:
    return fitting_rows(select(batch, signature, where=where), signature).batch


def _joined(batches: Sequence[pa.RecordBatch], signature: Signature) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches, schema=signature.schema).combine_chunks()
    return table.to_batches()[0] if table.num_rows else signature.schema.empty_table().to_batches()[0]
