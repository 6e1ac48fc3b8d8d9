"""The local Spark session of Lockstep and of the peers that are Spark."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession

from benchmarks.job import ROOT, SCRATCH
from lockstep.run.java import find_java_home
from lockstep.run.profiles import FOLDER, load_profiles

PROFILE = "local"  # of spark-conf/


def start_session(name: str, *, cores: int, conf: Mapping[str, str | None]) -> SparkSession:
    """Start a session of the profile `spark-conf/local.conf` on some cores.

    Args:
        name: For the log.
        cores: Tasks at a time.
        conf: Overrides; none leaves Spark's own default.
    """
    os.environ["JAVA_HOME"] = str(find_java_home(os.environ, cache_root=SCRATCH / "cache"))
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    Path(os.environ["SPARK_LOCAL_DIRS"]).mkdir(parents=True, exist_ok=True)
    own = {"spark.master": f"local[{cores}]", "spark.sql.warehouse.dir": str(SCRATCH / "spark" / "warehouse")}
    builder = SparkSession.builder.appName(name)
    profile = {key: found.value for key, found in load_profiles([PROFILE], ROOT / FOLDER).items()}
    for key, value in {**profile, **own, **conf}.items():
        if value is not None:
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark
