"""Score: every work unit once, through Spark, into staged files and a manifest."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.manifest import Manifest, UnitResult
from lockstep.run.plan import ScoringInput, Unit
from lockstep.scoring.engine import finished

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

UnitFunction = Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]


def score_units_with_spark(
    spark: "SparkSession", folder: RunFolder, *, udf: UnitFunction, unit_schema: str, result_schema: str
) -> Manifest:
    """Score the unfinished units of a run and write `manifest.json`.

    Args:
        spark: A running session.
        folder: A run whose input is materialised.
        udf: From batches of unit JSON to batches of result JSON (see `udfs.bulk`).
        unit_schema: Spark schema of the units.
        result_schema: Spark schema of the results.

    Returns:
        The manifest: for each unit one accepted attempt, the first that finished.
    """
    plan = folder.plan(step="score")
    wanted = folder.scoring_input(step="score")
    done = {unit.id: result for unit in wanted.units if (result := finished(folder, unit)) is not None}
    todo = [unit for unit in wanted.units if unit.id not in done]
    if todo:
        rows = [(unit.model_dump_json(),) for unit in _largest_first(todo)]
        frame = spark.createDataFrame(rows, unit_schema).repartition(len(rows))
        for row in frame.mapInArrow(udf, result_schema).toLocalIterator():
            result = UnitResult.model_validate_json(row["result"])
            done.setdefault(result.unit, result)
    manifest = Manifest(run_key=plan.run_key, units=tuple(done[unit.id] for unit in wanted.units))
    folder.write_json(MANIFEST, manifest)
    return manifest


def _largest_first(units: Sequence[Unit]) -> list[Unit]:
    return sorted(units, key=lambda unit: (-unit.size_bytes, unit.id))


def finished_rows(folder: RunFolder, wanted: ScoringInput) -> int:
    """Return how many input rows are in finished units, for a progress bar."""
    done = {path.parent.name for path in folder.file("staging").glob("*/*.json")}
    return sum(unit.rows for unit in wanted.units if unit.id in done)


def summary(folder: RunFolder, *, reused: bool) -> dict[str, Any]:
    """Return the figures of a scored run."""
    manifest = folder.manifest(step="score")
    return {
        "rows_in": manifest.rows_in,
        "rows_scored": manifest.rows_scored,
        "rows_quarantined": manifest.rows_quarantined,
        "units": len(manifest.units),
        "reused": reused,
    }
