"""The outside of a Spark job: spark-submit as a child process, its log in the run folder, its error as ours."""

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

from lockstep.errors import RunFolderUnusable, SparkJobFailed
from lockstep.run.folder import RunFolder
from lockstep.run.java import find_java_home
from lockstep.run.processes import run_logged
from lockstep.run.submit import data_python, spark_submit
from lockstep.specs.settings import Settings
from lockstep.steps.job import error_in_log

LOG_TAIL_BYTES = 64_000
# What Hadoop's file system says when the run folder cannot be written.
FOLDER_PROBLEMS = ("No space left on device", "Read-only file system")
# Lines of a log that say what went wrong: a Java or Python exception, or spark-submit's own complaint.
TELLING = re.compile(r"(?:Caused by: )?[\w.$]+(?:Error|Exception|Exit)\b|(?:Error|Exception|FATAL)|.*No space left")

log = logging.getLogger("lockstep.run")


def told(text: str) -> None:
    """Say something that whoever waits for the step wants to know."""
    log.warning("%s", text)


def submit_job(
    job: str, folder: RunFolder, settings: Settings, *, timeout_s: float, on_poll: Callable[[], None] = lambda: None
) -> None:
    """Run `jobs/<job>.py` over a run folder through spark-submit.

    Args:
        job: Script name without `.py`.
        folder: A planned run.
        settings: Where things are.
        timeout_s: Longest run, in seconds.
        on_poll: Called a few times a second, for a progress bar.

    Raises:
        JavaNotFound: There is no Java for Spark.
        RunFolderUnusable: The run folder is full or read-only.
        SparkJobFailed: spark-submit ended with an error that is not ours, or ran past the time limit.
        LockstepError: The error that the job reported.
    """
    java_home = find_java_home(os.environ, cache_root=settings.cache_root)
    args = ["--run-folder", str(folder.path)]
    python = data_python(settings, os.environ)
    submit = spark_submit(settings, job, args, python=python, java_home=java_home)
    name = f"logs/{job}.log"
    with folder.writing():
        output = folder.draft(name)
        output.touch()
    submit.prepare()
    try:
        code = run_logged(submit.command(), env=submit.env, log=output, timeout_s=timeout_s, on_poll=on_poll)
        text = _tail(output)
    finally:
        folder.hand_in(output, name)
    if code == 0:
        return
    reported = error_in_log(text)
    if reported is not None:
        raise reported
    for problem in FOLDER_PROBLEMS:
        if problem in text:
            raise RunFolderUnusable(str(folder.path), problem)
    reason = f"no result within limits.timeout_s = {timeout_s:.0f} s" if code is None else _last_error(text)
    raise SparkJobFailed(f"jobs/{job}.py", exit_code=code or 0, log_path=str(folder.file(name)), last_error=reason)


def _tail(log: Path) -> str:
    data = log.read_bytes()[-LOG_TAIL_BYTES:]
    return data.decode("utf-8", errors="replace")


def _last_error(text: str) -> str:
    telling = [line for line in text.splitlines() if TELLING.match(line)]
    lines = telling or [line for line in text.splitlines() if line.strip()] or ["no output"]
    return lines[-1].strip()[:300]
