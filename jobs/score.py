"""spark-submit job: score the work units of a run and write its manifest.

    spark-submit jobs/score.py --run-folder var/runs/flight_delay/2013-08-01/<run key>

Units that an earlier attempt finished are not scored again.
"""

import sys

from lockstep.steps.job import run_job
from lockstep.steps.score import score_units_with_spark
from udfs.bulk import RESULT_SCHEMA, UNIT_SCHEMA, score_units


def main() -> int:
    """Score one run."""
    return run_job(
        "score",
        lambda spark, folder: (
            score_units_with_spark(
                spark,
                folder,
                udf=score_units(str(folder.path)),
                unit_schema=UNIT_SCHEMA,
                result_schema=RESULT_SCHEMA,
            ).rows_scored
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
