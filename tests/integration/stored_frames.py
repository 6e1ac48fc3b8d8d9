"""A process with a small Spark that reads a stored table as a feature query sees it, then as labels do."""

import datetime as dt
import json
import os
import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

from lockstep.data.stored_source import Days, stored_frame
from lockstep.run.java import find_java_home
from lockstep.specs.input_spec import Source
from lockstep.storage.objects import ObjectPath
from tests.spark.standalone import SHORT_JOBS


def main(url: str, first: str, last: str) -> None:
    """Print columns and rows of some days of the table of customers."""
    source = Source.model_validate({"path": "x", "partition": "day", "days": [0, 0], "columns": {"id": "long"}})
    days = Days(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["JAVA_HOME"] = str(find_java_home(os.environ, cache_root=Path(scratch)))
        os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        settings = {"spark.ui.enabled": "false", "spark.driver.memory": "512m", "spark.local.dir": scratch}
        settings["spark.driver.extraJavaOptions"] = SHORT_JOBS
        spark = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
        for every in (False, True):
            frame = stored_frame(spark, source, ObjectPath.parse(url), days=days, every_column=every)
            print(json.dumps([frame.columns, frame.count(), frame.select("day").distinct().count()]))
        spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
