"""Rows of one day of a table, read as a run reads them."""

import datetime as dt
from dataclasses import dataclass

import pyarrow as pa

from lockstep.data.table_input import mapped
from lockstep.data.table_sample import spread_rows
from lockstep.data.table_scan import Day, scan_table
from lockstep.errors import EmptyPartition
from lockstep.scaffold.tables import FoundTable
from lockstep.scoring.pieces import read_footer
from lockstep.scoring.units import plan_units
from lockstep.specs.input_spec import Table
from lockstep.storage.files import Location

UNIT_BYTES, UNIT_ROWS = 64 << 20, 65_536


@dataclass(frozen=True)
class Sample:
    """Some rows of a day.

    Attributes:
        rows: All columns of the table, and the day.
        day: Which.
        total: Rows of the whole day.
    """

    rows: pa.Table
    day: dt.date
    total: int


def read_sample(found: FoundTable, table: Table, day: Day, *, data_root: Location, most: int) -> Sample:
    """Read rows of a day, from as many places of it as there are units.

    Args:
        found: The table.
        table: The same as the spec will declare it.
        day: Which day.
        data_root: Folder of relative paths.
        most: Rows to read at most.

    Raises:
        InputError: The day is not there, or cannot be read.
    """
    if table.format == "postgresql":
        return _of_database(found, table, day, most=most)
    scan = scan_table(table, day, data_root)
    files = [mapped(scan, each.file, read_footer(each.file.path)) for each in scan.files]
    units = plan_units(None, [file for file in files if file], unit_bytes=UNIT_BYTES, unit_rows=UNIT_ROWS)
    total = sum(unit.rows for unit in units)
    if not total:
        raise EmptyPartition("table", path=scan.label, partition=str(day.value))
    names = list(dict.fromkeys([*found.columns, day.column]))
    rows = spread_rows(None, units, columns=names, most=most)
    return Sample(rows, day.value, total)


def _of_database(found: FoundTable, table: Table, day: Day, *, most: int) -> Sample:
    from lockstep.data.database_table import open_table

    with open_table(table) as source:
        total = source.count(day)
        if not total:
            raise EmptyPartition("table", path=table.label, partition=str(day.value))
        names = list(dict.fromkeys([*found.columns, day.column]))
        rows = source.read(names, day, most=most).read_all()
    return Sample(rows, day.value, total)
