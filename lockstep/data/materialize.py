"""Run the feature query once and keep its result as the Parquet files that are scored."""

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.data.feature_query import Days, feature_frame
from lockstep.data.snapshot import check_unchanged
from lockstep.data.table_input import plan_table_input
from lockstep.errors import ColumnMissing, EmptyPartition
from lockstep.run.folder import INPUT, RunFolder
from lockstep.run.plan import Plan, ScoringInput
from lockstep.scoring.signature import Signature, check
from lockstep.scoring.units import plan_units

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

INPUT_FOLDER = "input"
SPEC_FOLDER = "spec"


def materialize_input(spark: "SparkSession", folder: RunFolder) -> ScoringInput:
    """Materialise the input of a planned run: `input/*.parquet` and `input.json`; of a table only the latter.

    The rows are sorted by key, so that the files do not depend on how Spark split the work.

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
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    query = folder.file(SPEC_FOLDER, plan.spec.input.feature_query)
    days = Days(plan.partition, plan.partition)
    frame = feature_frame(spark, plan.spec.input.sources, query=query, data_root=Path(plan.data_root), days=days)
    _check_columns(plan, frame.columns)
    partial = folder.folder(f".{INPUT_FOLDER}-{uuid.uuid4().hex}")
    try:
        frame.sort(*plan.spec.key).write.mode("overwrite").parquet(str(partial))
        check_unchanged(plan)
        _replace(folder, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _describe(folder, plan)


def _check_columns(plan: Plan, columns: list[str]) -> None:
    where = f"the result of {plan.spec.input.feature_query}"
    for name in plan.spec.carried:
        if name not in columns:
            raise ColumnMissing(name, where=where, expected="a key or pass-through column of the spec", got=columns)


def _replace(folder: RunFolder, partial: Path) -> None:
    """Put the finished files in place; `input.json`, written last, is what makes them count."""
    target = folder.file(INPUT_FOLDER)
    with folder.writing():
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)


def _describe(folder: RunFolder, plan: Plan) -> ScoringInput:
    files = [f"{INPUT_FOLDER}/{p.name}" for p in sorted(folder.file(INPUT_FOLDER).glob("*.parquet"))]
    schema = pq.read_schema(folder.file(files[0])) if files else pa.schema([])
    query = plan.spec.input.feature_query
    check(schema, Signature(plan.model.inputs, plan.model.outputs), where=f"the result of {query}")
    limits = plan.spec.limits
    units = plan_units(folder.path, files, unit_bytes=limits.unit_bytes, unit_rows=limits.unit_rows)
    rows = sum(unit.rows for unit in units)
    if rows < plan.spec.limits.min_rows:
        raise EmptyPartition(query, path=str(folder.file(INPUT_FOLDER)), partition=str(plan.partition))
    described = ScoringInput(rows=rows, columns={field.name: str(field.type) for field in schema}, units=units)
    folder.write_json(INPUT, described)
    return described
