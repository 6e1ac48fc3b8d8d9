"""The Parquet files of a run's own input, in its folder, and what `input.json` says of them."""

import uuid
from collections.abc import Iterable, Sequence

import pyarrow as pa

from lockstep.errors import EmptyPartition
from lockstep.run.folder import INPUT, RunFolder
from lockstep.run.plan import Plan, ScoringInput
from lockstep.scoring.signature import Signature, check
from lockstep.scoring.staged import StagedWriter
from lockstep.scoring.units import plan_units

INPUT_FOLDER = "input"


def write_file(folder: RunFolder, part: int, batches: Iterable[pa.RecordBatch]) -> str | None:
    """Write a file under a name that no other attempt has; none when there are no rows."""
    name, rows = f"{INPUT_FOLDER}/part-{part:05d}-{uuid.uuid4().hex}.parquet", 0
    draft = folder.draft(name)
    with folder.writing(), StagedWriter(draft) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write(batch)
                rows += batch.num_rows
    if not rows:
        return None
    folder.hand_in(draft, name)
    return name


def describe(
    folder: RunFolder, plan: Plan, *, schema: pa.Schema, files: Sequence[str], made_by: str, from_table: bool = False
) -> ScoringInput:
    """Cut the files into units and write `input.json`; remove what attempts that died have left.

    Args:
        folder: A planned run.
        plan: Its plan.
        schema: Of the files.
        files: By `write_file`, in order.
        made_by: The query, or the table, whose rows they are.
        from_table: Which of both.

    Raises:
        ColumnTypeMismatch: A model column has a type that does not fit the signature.
        EmptyPartition: There are fewer rows than `limits.min_rows`.
    """
    for name in folder.names(INPUT_FOLDER):  # `input.json`, written last, names those that count
        if name not in files:
            folder.remove(name)
    where = f"table {made_by}" if from_table else f"the result of {made_by}"
    check(schema, Signature(plan.model.inputs, plan.model.outputs), where=where)
    limits = plan.spec.limits
    units = plan_units(folder.path, files, unit_bytes=limits.unit_bytes, unit_rows=limits.unit_rows)
    rows = sum(unit.rows for unit in units)
    if rows < limits.min_rows:
        path = made_by if from_table else str(folder.file(INPUT_FOLDER))
        raise EmptyPartition("table" if from_table else made_by, path=path, partition=str(plan.partition))
    described = ScoringInput(rows=rows, columns={field.name: str(field.type) for field in schema}, units=units)
    folder.write_json(INPUT, described)
    return described
