"""The input of a run over a table of a database: a copy of the day in the run folder, scored as that of a query is."""

from collections.abc import Iterable

from lockstep.data.database_table import open_table
from lockstep.data.input_files import describe, write_file
from lockstep.data.snapshot import check_same
from lockstep.data.table_scan import Day
from lockstep.errors import ColumnMissing
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Plan, ScoringInput
from lockstep.specs.input_spec import Table


def copy_table(folder: RunFolder, table: Table) -> ScoringInput:
    """Copy the day of a run from its database, sorted by key, if it still is what was planned; write `input.json`.

    Args:
        folder: A planned run.
        table: The table of its spec.

    Raises:
        DatabaseUnreachable: The database does not answer.
        TableNotFound: The table is not there any more.
        InputChanged: Its rows of the day are no longer those of the plan.
        ColumnMissing: The table lacks a key, pass-through or model column.
        ColumnTypeMismatch: A column has a type that does not fit the signature.
        EmptyPartition: There are fewer rows than `limits.min_rows`.
    """
    plan = folder.plan(step="materialize")
    day = Day(plan.spec.partition.column, plan.partition)
    with open_table(table) as source:
        check_same(plan, (source.fingerprint(day),))  # of the same transaction, so it is what is read
        names = _wanted(plan, source.columns, label=table.label)
        rows = source.read(names, day, key=plan.spec.key)
        file = write_file(folder, 0, rows)
    return describe(
        folder, plan, schema=rows.schema, files=[file] if file else [], made_by=table.label, from_table=True
    )


def _wanted(plan: Plan, columns: Iterable[str], *, label: str) -> list[str]:
    """Return the columns that are carried to the output, then those of the model that the table has."""
    there = {*columns, plan.spec.partition.column}
    for name in plan.spec.carried:
        if name not in there:
            expected = "a key or pass-through column of the spec"
            raise ColumnMissing(name, where=f"table {label}", expected=expected, got=sorted(there))
    inputs = [column.name for column in plan.model.inputs if column.name in there]
    return list(dict.fromkeys([*plan.spec.carried, *inputs]))
