"""Operators that run a step in the data-plane interpreter (`lockstep_spark.py` has the one for Spark jobs).

All map the exit codes of `lockstep` to Airflow in one way: what may succeed later is a failure that Airflow retries,
what cannot (a wrong spec, a failed check, a stale run) fails at once. Both stop every process they started when the
task is killed, times out or is cleared.
"""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from lockstep.errors import DateInvalid, LockstepError
from lockstep.run.exit_codes import EXIT_CODES, USAGE
from lockstep.run.interval import partition_of_run
from lockstep.run.partition import parse_partition
from lockstep.run.pins import Pin, read_pin, write_pin
from lockstep.run.processes import die_with_parent
from lockstep.run.submit import data_python, step_env
from lockstep.specs.settings import Settings
from lockstep.specs.spec import Schedule

# What the same command cannot turn into a success. Exit code 1 is a crash: of Spark, or of code that a retry may meet
# in a better state.
PERMANENT_EXIT_CODES = frozenset({USAGE, *(code for _, code in EXIT_CODES)})
TAIL_LINES = 30
STOP_TIMEOUT_S = 10.0


def failure(what: str, exit_code: int, *, tail: Sequence[str] = ()) -> AirflowException:
    """Return the exception for a failed child: one that Airflow retries, or one that it does not.

    Args:
        what: Step or job.
        exit_code: Of the child; negative when a signal killed it.
        tail: Last lines of its log.
    """
    cause = f"was killed by signal {-exit_code}" if exit_code < 0 else f"failed with exit code {exit_code}"
    message = "\n".join([f"{what} {cause}", *tail])
    return AirflowFailException(message) if exit_code in PERMANENT_EXIT_CODES else AirflowException(message)


def stop_group(process: "subprocess.Popen[str]") -> None:
    """Stop a child and all of its process group: politely, then by force. Returns when the child is gone.

    A child that has ended may have left others in its group, so they are looked for in any case.
    """
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_TIMEOUT_S)


def close_pipes(process: "subprocess.Popen[str]") -> None:
    """Close our ends of an ended child's output."""
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


class StepOperator(BaseOperator):
    """Runs `lockstep <arguments>` in the data plane; its JSON line becomes the XCom.

    Args:
        arguments: Command line after `lockstep` (templated).
    """

    template_fields: ClassVar[Sequence[str]] = ("arguments",)
    ui_color = "#e8f0fe"

    def __init__(self, *, arguments: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = list(arguments)
        self._child: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> Any:  # noqa: ARG002 - Airflow's interface
        """Run the command; return what its last line of output says."""
        return self.run_step(self.arguments)

    def run_step(self, arguments: Sequence[str]) -> Any:
        """Run one command to its end, with its log in the task's log.

        Raises:
            AirflowException: It failed, and may succeed when it is run again.
            AirflowFailException: It failed, and would fail again.
        """
        settings = Settings.from_env(os.environ)
        command = [str(data_python(settings, os.environ)), "-m", "lockstep", *map(str, arguments)]
        self.log.info("running lockstep %s", " ".join(command[3:]))
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env={**os.environ, **step_env(settings)},
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into a library that is loaded already
        )
        try:
            result = self._stream(self._child, tail)
            exit_code = self._child.wait()
        finally:
            stop_group(self._child)
            close_pipes(self._child)
        if exit_code != 0:
            raise failure(f"lockstep {' '.join(command[3:5])}", exit_code, tail=tail)
        return result

    def _stream(self, child: "subprocess.Popen[str]", tail: deque[str]) -> Any:
        """Copy the child's output to the task log; return the last JSON object on its standard output."""
        reader = threading.Thread(target=self._copy, args=(child.stderr, tail), daemon=True)
        reader.start()
        result = None
        for line in child.stdout or ():
            text = line.rstrip()
            if (value := json_object(text)) is not None:
                result = value
            elif text:
                self.log.info("%s", text)
                tail.append(text)
        reader.join()
        return result

    def _copy(self, stream: IO[str] | None, tail: deque[str]) -> None:
        for line in stream or ():
            if text := line.rstrip():
                self.log.info("%s", text)
                tail.append(text)

    def on_kill(self) -> None:
        """Stop the command and everything it started."""
        if self._child is not None:
            stop_group(self._child)


class PinModelOperator(StepOperator):
    """Chooses the model version of a DAG run, once: its XCom is what all other tasks use.

    The version is kept beside the run folders, so clearing tasks, or the whole run, does not change it. Asking for
    another one does, and so does the parameter `fresh_model`.

    Args:
        schedule: The spec's schedule, which turns the run's dates into a day.
    """

    def __init__(self, *, schedule: Schedule, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schedule_of_spec = schedule

    def execute(self, context: Context) -> Any:
        """Return `{"name", "version", "digest", "asked", "pinned_at"}`."""
        params, dag_run, home = context["params"], context["dag_run"], Settings.from_env(os.environ).home
        asked, partition = params["model"], asked_partition(self.schedule_of_spec, context)
        with failing_for_good():
            pin = read_pin(home, dag_run.dag_id, dag_run.run_id)
        if pin is not None and pin.asked == asked and not params["fresh_model"]:
            self.log.info("this DAG run took %s version %s at %s and keeps it", pin.name, pin.version, pin.pinned_at)
        else:
            facts = self.run_step([*self.arguments, "--model", asked, "--date", partition.isoformat()])
            now = dt.datetime.now(dt.UTC)
            pin = Pin(dag_id=dag_run.dag_id, run_id=dag_run.run_id, asked=asked, pinned_at=now, **facts)
            with failing_for_good():
                write_pin(home, pin)
            self.log.info("%s is %s version %s, for this DAG run from now on", asked, pin.name, pin.version)
        return pin.model_dump(mode="json", exclude={"dag_id", "run_id"})


class PlanOperator(StepOperator, SkipMixin):
    """Freezes the run of one day; skips the tasks between plan and publish when that very run is live already.

    Args:
        schedule: The spec's schedule, which turns the run's dates into a day.
        skip_when_live: Tasks that have nothing to do then.
    """

    inherits_from_skipmixin = True

    def __init__(self, *, schedule: Schedule, skip_when_live: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schedule_of_spec = schedule
        self.skip_when_live = list(skip_when_live)

    def execute(self, context: Context) -> Any:
        """Return what `lockstep step plan` says; the run folder in it is all that the next tasks need."""
        partition = asked_partition(self.schedule_of_spec, context)
        self.log.info("this run scores the partition %s", partition)
        outcome = self.run_step([*self.arguments, "--date", partition.isoformat()])
        if outcome["already_live"]:
            self.log.info("run %s is live already: nothing to score", outcome["run_key"])
            context["ti"].xcom_push(key="return_value", value=outcome)
            dag = context["dag"]
            self.skip(ti=context["ti"], tasks=[dag.get_task(task) for task in self.skip_when_live])
        return outcome


class PublishOperator(StepOperator):
    """Makes the rows live, unless the run is a trial."""

    def execute(self, context: Context) -> Any:
        """Return the step's summary; a dry run ends here, with its checks done and nothing changed."""
        if context["params"]["dry_run"]:
            raise AirflowSkipException("dry run: everything was checked, and nothing is published")
        return super().execute(context)


class ReportOperator(StepOperator):
    """Renders the report of whatever happened; skipped when there is no plan to report about."""

    template_fields: ClassVar[Sequence[str]] = ()

    def __init__(self, *, plan_task: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task = plan_task

    def execute(self, context: Context) -> Any:
        """Return the step's summary."""
        plan = context["ti"].xcom_pull(task_ids=self.plan_task)
        if not plan:
            raise AirflowSkipException("there is no plan, so there is no run to report about")
        self.log.info("run folder: %s", plan["run_folder"])
        return self.run_step([*self.arguments, "--run-folder", plan["run_folder"]])


def asked_partition(schedule: Schedule, context: Mapping[str, Any]) -> dt.date:
    """Return the day that the DAG run of a task's context scores.

    Raises:
        AirflowFailException: It cannot be scored, or a backfill or a schedule was given one day for all of its runs.
    """
    dag_run, date = context["dag_run"], context["params"]["date"]
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    manual = kind not in ("scheduled", "backfill")
    with failing_for_good():
        asked = None if date is None else parse_partition(date)
        if asked is not None and not manual:
            advice = "leave 'date' empty: the days of a backfill are From and To"
            raise DateInvalid(
                asked.isoformat(), problem=f"was given to a {kind} run, which has its own day", advice=advice
            )
        now = dt.datetime.now(dt.UTC)
        return partition_of_run(schedule, logical_date=dag_run.logical_date, manual=manual, now=now, asked=asked)


@contextlib.contextmanager
def failing_for_good() -> Iterator[None]:
    """Turn an error of ours into one that Airflow does not retry, with its message alone."""
    try:
        yield
    except LockstepError as error:
        raise AirflowFailException(str(error)) from error


def json_object(text: str) -> Any:
    """Return the JSON object that a line is; None for any other line."""
    if not text.startswith("{"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
