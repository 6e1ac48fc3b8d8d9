"""spark-submit job: check many staged scores; what `lockstep step audit` starts above `limits.checks_spark_rows`.

spark-submit jobs/audit.py --run-folder var/runs/flight_delay/2013-08-01/<run key>

It writes `audit.json`, `drift.parquet` and the data docs; whether the run is stopped is decided by who started it.
"""

import os
import sys

from lockstep.quality.spark_measuring import spark_engine
from lockstep.specs.settings import Settings
from lockstep.steps.audit import check_staged
from lockstep.steps.job import run_job


def main() -> int:
    """Check the staged scores of one run."""
    settings = Settings.from_env(os.environ)
    return run_job("audit", lambda spark, folder: check_staged(folder, settings, spark_engine(spark)).rows)


if __name__ == "__main__":
    sys.exit(main())
