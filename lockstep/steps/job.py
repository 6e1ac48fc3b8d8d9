"""The inside of a spark-submit script: session, one call, and errors that survive the process boundary.

A job names its Spark application in a line `LOCKSTEP-SPARK-APPLICATION <id>`. A failing one prints one line
`LOCKSTEP-ERROR {"type": ..., "code": ..., "message": ...}` to standard error, from which whoever started it
rebuilds the error, and ends with the documented exit code.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lockstep.errors import LockstepError, revive
from lockstep.run.exit_codes import exit_code
from lockstep.run.folder import RunFolder
from lockstep.run.logs import configure_logs, facts_of_folder, is_json, set_log_context

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger("lockstep.job")

ERROR_MARK = "LOCKSTEP-ERROR "
APPLICATION_MARK = "LOCKSTEP-SPARK-APPLICATION "
# An error raised in a Python worker reaches the driver as the text of its traceback.
IN_TRACEBACK = re.compile(r"lockstep\.errors\.(?:\w+\.)?(\w+): (.+?)(?=\n\s*at |\n\n|\Z)", re.DOTALL)


def run_job(name: str, work: Callable[["SparkSession", RunFolder], int]) -> int:
    """Run the work of a job over the run folder given on the command line.

    Args:
        name: For the Spark UI.
        work: Gets the session and the folder, returns rows.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=f"{name} one scoring run")
    parser.add_argument("--run-folder", type=RunFolder.at, required=True, help="folder of a planned run")
    folder: RunFolder = parser.parse_args().run_folder
    configure_logs(os.environ)
    set_log_context(step=name, **facts_of_folder(folder))
    from pyspark.sql import SparkSession

    try:
        folder.plan(step=name)
        spark = SparkSession.builder.appName(f"lockstep {name} {folder.path.name}").getOrCreate()
        sys.stdout.write(f"{APPLICATION_MARK}{spark.sparkContext.applicationId}\n")
        rows = work(spark, folder)
        spark.stop()
    except Exception as error:  # the edge of the process: every error becomes one line and a code
        known = as_lockstep_error(error)
        if known is None:
            raise
        facts = {"type": type(known).__name__, "code": known.code, "message": str(known)}
        sys.stderr.write(f"{ERROR_MARK}{json.dumps(facts)}\n")
        return exit_code(known)
    say(f"{name}: {rows:,} rows")
    return 0


@contextlib.contextmanager
def by_name() -> Iterator[None]:
    """Raise an error of ours that lies in the text of a Spark exception as itself."""
    try:
        yield
    except Exception as error:
        known = as_lockstep_error(error)
        if known is None or known is error:
            raise
        raise known from error


def say(line: str) -> None:
    """Write a line of a job's log."""
    if is_json(os.environ):
        log.info("%s", line)
    else:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def as_lockstep_error(error: Exception) -> LockstepError | None:
    """Return the error itself if it is ours, or ours that lies in the text of a Spark exception, or none."""
    if isinstance(error, LockstepError):
        return error
    found = IN_TRACEBACK.search(str(error))
    return revive(found.group(1), found.group(2).strip()) if found else None


def error_in_log(text: str) -> LockstepError | None:
    """Return the error that a job reported in its output, or none."""
    for line in reversed(text.splitlines()):
        if line.startswith(ERROR_MARK):
            told = json.loads(line.removeprefix(ERROR_MARK))
            return revive(told["type"], told["message"])
    return None
