"""Run the feature query once and keep its result as the Parquet files that are scored.

The files depend on the rows alone: neither on how many cores or hosts Spark had, nor on whether the run folder is on a
disk or in a store. So the work units, and with them the staged files, are the same wherever a run is computed.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from lockstep.data.feature_query import feature_frame
from lockstep.data.input_files import describe, write_file
from lockstep.data.snapshot import check_unchanged
from lockstep.data.stored_source import Days
from lockstep.data.table_input import plan_table_input
from lockstep.errors import ColumnMissing
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Plan, ScoringInput
from lockstep.storage.files import location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SPEC_FOLDER = "spec"
# Rows of a file; below `DRIVER_ROWS` the driver writes the only one, which spares a small night the Python workers.
FILE_ROWS, DRIVER_ROWS = 1 << 20, 50_000


def materialize_input(spark: "SparkSession", folder: RunFolder) -> ScoringInput:
    """Materialise the input of a planned run: `input/*.parquet` and `input.json`; of a table only the latter.

    Args:
        spark: A session; its time zone is set to UTC.
        folder: A planned run.

    Raises:
        InputChanged: The source files are no longer those of the plan.
        QueryFailed: Spark refuses the query.
        ColumnMissing: The query's result lacks a key, pass-through or model column.
        ColumnTypeMismatch: A model column has a type that does not fit the signature.
        EmptyPartition: The query returns fewer rows than `limits.min_rows`.
    """
    plan = folder.plan(step="materialize")
    if plan.spec.input.table is not None:  # needs no Spark, and may be submitted all the same
        return plan_table_input(folder, plan.spec.input.table)
    check_unchanged(plan)
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    query = folder.local(f"{SPEC_FOLDER}/{plan.spec.input.feature_query}")
    days = Days(plan.partition, plan.partition)
    root = location(plan.data_root)
    frame = feature_frame(spark, plan.spec.input.sources, query=query, data_root=root, days=days)
    _check_columns(plan, frame.columns)
    frame = frame.persist()
    try:
        schema, files = _write(frame, folder, key=plan.spec.key)
    finally:
        frame.unpersist()
    check_unchanged(plan)
    return describe(folder, plan, schema=schema, files=files, made_by=plan.spec.input.feature_query)


def _check_columns(plan: Plan, columns: list[str]) -> None:
    where = f"the result of {plan.spec.input.feature_query}"
    for name in plan.spec.carried:
        if name not in columns:
            raise ColumnMissing(name, where=where, expected="a key or pass-through column of the spec", got=columns)


def _write(frame: "DataFrame", folder: RunFolder, *, key: Iterable[str]) -> tuple[pa.Schema, list[str]]:
    """Write the rows, sorted by key, to as many files as their number asks for; return the files in order."""
    rows = frame.count()
    if rows <= DRIVER_ROWS:
        table = frame.sort(*key).toArrow()
        written = write_file(folder, 0, iter(table.to_batches())) if rows else None
        return table.schema, [written] if written else []
    # By hash, since bounds of ranges are drawn at random from rows in the order in which they arrive.
    parts = frame.repartition(math.ceil(rows / FILE_ROWS), *key).sortWithinPartitions(*key)
    schema = frame.limit(0).toArrow().schema
    found = parts.mapInArrow(_writing(str(folder.path)), "part int, file string").collect()
    return schema, [row["file"] for row in sorted(found, key=lambda row: row["part"])]


def _writing(run_folder: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Make the function of the Python workers: from the rows of a partition to the name of its file."""

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        part = context.partitionId() if context is not None else 0
        file = write_file(RunFolder.at(run_folder), part, batches)
        if file is not None:
            yield pa.RecordBatch.from_pydict({"part": pa.array([part], pa.int32()), "file": [file]})

    return write
