"""A client of Spark Connect that scores with the column UDF and prints what it got, each number with all its bits."""

import json
import sys
from typing import Any

from pyspark.sql import SparkSession

from lockstep.run.plan import ModelIdentity
from lockstep.specs.settings import Settings
from udfs import register, score_column

ROWS = [(i, ["N", "S", "E", None][i % 4], None if i % 7 == 0 else i * 0.37) for i in range(901)]
SCHEMA = "id int, depot string, km double"


def main(server: str, identity: str, home: str) -> None:
    """Score through a server."""
    spark = SparkSession.builder.remote(server).getOrCreate()
    settings = Settings.from_env({"LOCKSTEP_HOME": home})
    print(json.dumps(results(spark, ModelIdentity.model_validate_json(identity), settings)))
    spark.stop()


def results(spark: SparkSession, model: ModelIdentity, settings: Settings) -> dict[str, Any]:
    """Score by column, with errors and in SQL, through whatever session it is."""
    frame = spark.createDataFrame(ROWS, SCHEMA).repartition(3)
    score = score_column(model, settings=settings)
    with_errors = score_column(model, errors=True, settings=settings)
    register(spark, model, settings=settings)
    frame.createOrReplaceTempView("parcels_in")
    return {
        "session": type(spark).__module__,
        "column": bits(frame.withColumn("risk", score(*score.columns))),
        "errors": bits(frame.withColumn("s", with_errors(*with_errors.columns)).select("id", "s.risk")),
        "reasons": [row["error"] for row in reasons(frame, with_errors)],
        "sql": bits(spark.sql("SELECT id, lockstep_score('parcels', struct(*)) AS risk FROM parcels_in")),
    }


def bits(frame: Any) -> list[str | None]:
    """Return the scores in order of the rows, as hexadecimal floats."""
    return [None if row["risk"] is None else row["risk"].hex() for row in frame.orderBy("id").collect()]


def reasons(frame: Any, score: Any) -> list[Any]:
    """Return why rows have no score, in their order."""
    scored = frame.withColumn("s", score(*score.columns)).select("id", "s.error")
    rows: list[Any] = scored.orderBy("id").collect()
    return rows


if __name__ == "__main__":
    main(*sys.argv[1:])
