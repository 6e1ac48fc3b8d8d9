"""spark-submit job: check a big input partition; what `lockstep step gate` starts above `limits.checks_spark_rows`.

spark-submit jobs/gate.py --run-folder var/runs/flight_delay/2013-08-01/<run key>

It writes `gate.json` and the data docs; whether the run is stopped is decided by who started it.
"""

import sys

from lockstep.quality.spark_measuring import spark_engine
from lockstep.steps.gate import check_input
from lockstep.steps.job import run_job


def main() -> int:
    """Check the input of one run."""
    return run_job("gate", lambda spark, folder: check_input(folder, spark_engine(spark)).rows)


if __name__ == "__main__":
    sys.exit(main())
