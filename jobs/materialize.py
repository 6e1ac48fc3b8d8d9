"""spark-submit job: run the feature query of a planned run and keep its result in the run folder.

spark-submit jobs/materialize.py --run-folder var/runs/flight_delay/2013-08-01/<run key>
"""

import sys

from lockstep.data.materialize import materialize_input
from lockstep.steps.job import run_job


def main() -> int:
    """Materialise the input of one run."""
    return run_job("materialize", lambda spark, folder: materialize_input(spark, folder).rows)


if __name__ == "__main__":
    sys.exit(main())
