"""spark-submit job: score the work units of a run and write its manifest.

    spark-submit jobs/score.py --run-folder var/runs/flight_delay/2013-08-01/<run key>

Units that an earlier attempt finished are not scored again. Progress is told every ten seconds.
"""

import os
import sys
from typing import TYPE_CHECKING

from lockstep.specs.settings import Settings, device
from lockstep.steps.job import by_name, run_job
from lockstep.steps.request import refusals
from lockstep.steps.score import score_units_with_spark
from udfs.bulk import RESULT_SCHEMA, score_units

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lockstep.run.folder import RunFolder


def score(spark: "SparkSession", folder: "RunFolder") -> int:
    """Score one run; return the rows scored."""
    rows = folder.scoring_input(step="score").rows
    allowed = folder.plan(step="score").bad_rows_allowed(rows)
    udf = score_units(str(folder.path), device=device(os.environ), bad_rows_allowed=allowed, run_rows=rows)
    # Told to the ledger here, because Airflow submits this job without a step around it.
    with refusals(folder, Settings.from_env(os.environ)), by_name():
        manifest = score_units_with_spark(
            spark, folder, udf=udf, result_schema=RESULT_SCHEMA, tell=lambda line: print(f"score: {line}", flush=True)
        )
    return manifest.rows_scored


if __name__ == "__main__":
    sys.exit(run_job("score", score))
