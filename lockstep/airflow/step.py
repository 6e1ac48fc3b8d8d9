"""Runs a step in the data-plane interpreter (`spark.py` has the operator for Spark jobs).

Both map the exit codes of `lockstep` to Airflow in one way: what may succeed later is a failure that Airflow retries,
what cannot (a wrong spec, a failed check, a stale run) fails at once. Both stop every process they started when the
task is killed, times out or is cleared.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lockstep.airflow.lineage import LineageMixin
from lockstep.airflow.retries import TryLater, airflow_error, telling
from lockstep.errors import LockstepError
from lockstep.run.exit_codes import EXIT_CODES, PARITY_DIFFERS, TEMPORARY, USAGE
from lockstep.run.logs import logged_message
from lockstep.run.processes import die_with_parent
from lockstep.run.submit import check_data_python, data_python, step_env
from lockstep.specs.settings import Settings

# What the same command cannot turn into a success. Exit code 1 is a crash: of Spark, or of code that a retry may meet
# in a better state.
PERMANENT_EXIT_CODES = frozenset({USAGE, PARITY_DIFFERS, *(code for _, code in EXIT_CODES)})
TAIL_LINES = 30
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Told:
    """What a failed child said of itself.

    Attributes:
        exit_code: Negative when a signal killed it.
        error: Name of the class of ours; empty: it died without a word.
        message: Its text.
    """

    exit_code: int
    error: str = ""
    message: str = ""


def failure(
    what: str, exit_code: int, *, tail: Sequence[str] = (), said: Mapping[str, Any] | None = None
) -> AirflowException:
    """Return the exception for a failed child: one that Airflow retries for long, a few times, or not at all.

    Args:
        what: Step or job.
        exit_code: Of the child; negative when a signal killed it.
        tail: Last lines of its log.
        said: Its error, `{"error", "code", "message"}`, which notes and alerts are made of.
    """
    cause = f"was killed by signal {-exit_code}" if exit_code < 0 else f"failed with exit code {exit_code}"
    message = "\n".join([f"{what} {cause}", *tail])
    kind = AirflowFailException if exit_code in PERMANENT_EXIT_CODES else AirflowException
    error = (TryLater if exit_code == TEMPORARY else kind)(message)
    facts = said if said is not None and "error" in said else {}
    code = f"[{facts['code']}] " if "code" in facts else ""
    error.told = Told(exit_code, error=str(facts.get("error", "")), message=f"{code}{facts.get('message', '')}")
    return telling(error, error.told.message or f"{what} {cause}")


@contextlib.contextmanager
def failing_for_good() -> Iterator[None]:
    """Turn an error of ours into one of Airflow's, with its message alone; one that is not retryable fails for good."""
    try:
        yield
    except LockstepError as error:
        raise airflow_error(error) from error


def task_settings(models_root: str) -> Settings:
    """Return the settings of a task.

    Args:
        models_root: Folder of the specs that its DAG was made from; empty: that of the settings.
    """
    settings = Settings.from_env(os.environ)
    return replace(settings, models_root=Path(models_root)) if models_root else settings


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


class StepOperator(LineageMixin, BaseOperator):
    """Runs `lockstep <arguments>` in the data plane; its JSON line becomes the XCom.

    Args:
        arguments: Command line after `lockstep` (templated).
        models_root: Folder of the specs; without it, that of the settings.
    """

    template_fields: ClassVar[Sequence[str]] = ("arguments",)
    ui_color = "#e8f0fe"

    def __init__(self, *, arguments: Sequence[str], models_root: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = list(arguments)
        self.models_root = models_root
        self.pages: dict[str, str] = {}  # see links.py
        self.stopped = False  # by Airflow
        self.ran: list[str] = []  # the last command, and what it said
        self.result: Any = None
        self._child: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> Any:  # noqa: ARG002 - Airflow's interface
        """Run the command; return what its last line of output says."""
        return self.run_step(self.arguments)

    def run_step(self, arguments: Sequence[str]) -> Any:
        """Run one command to its end, with its log in the task's log.

        Raises:
            TryLater: It did nothing, and may do later.
            AirflowException: It crashed, and may succeed when it is run again.
            AirflowFailException: It failed, and would fail again.
        """
        with failing_for_good():
            python = check_data_python(data_python(task_settings(self.models_root), os.environ))
        command = [str(python), "-m", "lockstep", *map(str, arguments)]
        self.ran = command[3:]
        self.result = self.run_command(command, what=f"lockstep {' '.join(command[3:5])}")
        return self.result

    def run_command(self, command: Sequence[str], *, what: str, without: Sequence[str] = ()) -> Any:
        """Run a program to its end, with its log in the task's log and the settings in its environment.

        Args:
            command: The command line.
            what: What a message calls it.
            without: Variables that it shall not get.

        Returns:
            The last JSON object that it printed.

        Raises:
            TryLater: It did nothing, and may do later.
            AirflowException: It crashed, and may succeed when it is run again.
            AirflowFailException: It failed, and would fail again.
        """
        # Whoever runs this task (Airflow's supervisor of it) may be killed: then it ends too, and its children with it,
        # before Airflow starts it again elsewhere.
        die_with_parent()
        self.log.info("running %s", shlex.join(command))
        environment = {**os.environ, **step_env(task_settings(self.models_root))}
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env={name: value for name, value in environment.items() if name not in without},
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
            raise failure(what, exit_code, tail=tail, said=result)
        return result

    def _stream(self, child: "subprocess.Popen[str]", tail: deque[str]) -> Any:
        """Copy the child's output to the task log; return the last JSON object on its standard output."""
        reader = threading.Thread(target=self._copy, args=(child.stderr, tail), daemon=True)
        reader.start()
        result = None
        for line in child.stdout or ():
            text = line.rstrip()
            if logged_message(text) is None and (value := json_object(text)) is not None:
                result = value
            elif text:
                self._keep(text, tail)
        reader.join()
        return result

    def _copy(self, stream: IO[str] | None, tail: deque[str]) -> None:
        for line in stream or ():
            if text := line.rstrip():
                self._keep(text, tail)

    def _keep(self, text: str, tail: deque[str]) -> None:
        """Write a line to the task log as it is; what an error ends with is for people in any case."""
        self.log.info("%s", text)
        tail.append(logged_message(text) or text)

    def on_kill(self) -> None:
        """Stop the command and everything it started."""
        self.stopped = True
        if self._child is not None:
            stop_group(self._child)


def json_object(text: str) -> Any:
    """Return the JSON object that a line is; None for any other line."""
    if not text.startswith("{"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
