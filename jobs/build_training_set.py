"""spark-submit job: build the training set of a spec as Parquet for Petastorm.

    spark-submit jobs/build_training_set.py --spec models/flight_delay/scoring.yaml --out var/training/flight_delay

The label comes from `label.sql` beside the spec. Training days begin on the spec's `schedule.start` unless given.
Nothing is built when the same training set is already there.

Exit codes: those of `lockstep/run/exit_codes.py`; errors are one message on standard error.
"""

import argparse
import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lockstep.data.stored_source import Days
from lockstep.data.training_set import TrainingSpec, build_training_set, fingerprint, read_meta
from lockstep.errors import LockstepError
from lockstep.run.exit_codes import BUG, OK, exit_code
from lockstep.specs.loading import load_spec
from lockstep.specs.settings import Settings
from lockstep.specs.training_spec import LABEL_QUERY


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Build the training set of a spec.")
    parser.add_argument("--spec", type=Path, required=True, help="scoring.yaml, or its folder")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, replaced as a whole")
    parser.add_argument("--data-root", type=Path, help="folder of the source tables (default: LOCKSTEP_DATA)")
    day = dt.date.fromisoformat
    parser.add_argument("--train-from", type=day, metavar="DAY", help="first training day (default: schedule.start)")
    parser.add_argument("--train-to", type=day, metavar="DAY", default=dt.date(2013, 6, 30), help="last training day")
    parser.add_argument(
        "--valid-from", type=day, metavar="DAY", default=dt.date(2013, 7, 1), help="first validation day"
    )
    parser.add_argument("--valid-to", type=day, metavar="DAY", default=dt.date(2013, 7, 31), help="last validation day")
    parser.add_argument("--force", action="store_true", help="build anew even when nothing changed")
    arguments = parser.parse_args()
    if arguments.valid_from <= arguments.train_to:
        parser.error("the validation days must come after the training days")
    return arguments


def spark_session() -> SparkSession:
    """Return a session in UTC that lists the folders of a few hundred days by itself, not by a job of many tasks."""
    spark = SparkSession.builder.appName("build training set").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.threshold", "1000")
    return spark


def describe(meta: dict[str, Any], verb: str) -> str:
    """Say what the training set holds."""
    columns = f"{len(meta['categorical'])} categorical and {len(meta['numeric'])} numeric features"
    lines = [f"training set of {meta['spec']}: {verb} {columns}"]
    for name, split in meta["splits"].items():
        share = split["positive"] / split["rows"]
        lines.append(f"  {name}: {split['first']} to {split['last']}, {split['rows']:,} rows, {share:.1%} positive")
    return "\n".join(lines)


def main() -> int:
    """Build the training set unless it is there, and say what it holds."""
    arguments = parse_arguments()
    data_root = arguments.data_root or Settings.from_env(os.environ).data_root
    out: Path = arguments.out.absolute()
    try:
        loaded = load_spec(arguments.spec)
        train = Days(arguments.train_from or loaded.spec.schedule.start, arguments.train_to)
        splits = {"train": train, "valid": Days(arguments.valid_from, arguments.valid_to)}
        what = TrainingSpec(loaded, loaded.file(LABEL_QUERY), splits)
        made_from = fingerprint(what, data_root=data_root)
        meta = read_meta(out)
        if not arguments.force and meta is not None and meta["fingerprint"] == made_from:
            print(describe(meta, "nothing built, already there:"))
            return OK
        meta = build_training_set(spark_session(), what, data_root=data_root, out=out, made_from=made_from)
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code(error)
    except (PySparkException, Py4JError, OSError) as error:  # disk full, no permission, unreadable file
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        return BUG
    print(describe(meta, f"wrote {out} with"))
    return OK


if __name__ == "__main__":
    sys.exit(main())
