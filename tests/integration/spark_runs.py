"""A live Spark session that scores one run folder after another.

Reads folders from standard input, one a line, and answers each with `done` when its manifest is written. `HELD_UNIT`
and `TROUBLE` in the environment make the first attempt at a unit go wrong (see `held_units`).
"""

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from lockstep.run.folder import RunFolder
from lockstep.steps.score import score_units_with_spark
from tests.integration.held_units import holding
from tests.spark.standalone import SHORT_JOBS
from udfs.bulk import RESULT_SCHEMA, score_units


def main(settings: list[str]) -> None:
    """Make a session with settings `name=value` and obey until standard input ends."""
    builder = SparkSession.builder.appName("runs")
    for process in ("driver", "executor"):
        builder = builder.config(f"spark.{process}.extraJavaOptions", SHORT_JOBS)
    for name, _, value in (setting.partition("=") for setting in settings):
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    print("ready", flush=True)
    for line in sys.stdin:
        folder = RunFolder(Path(line.strip()))
        rows = folder.scoring_input(step="test").rows
        udf = score_units(str(folder.path), device="cpu", run_rows=rows)
        if "HELD_UNIT" in os.environ:
            udf = holding(udf, folder.path, unit=os.environ["HELD_UNIT"], trouble=os.environ["TROUBLE"])
        score_units_with_spark(spark, folder, udf=udf, result_schema=RESULT_SCHEMA)
        print("done", flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
