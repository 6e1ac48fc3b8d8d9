"""`lockstep up` as a child process, with a home and ports of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.services.airflow_api import AirflowApi

REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT_S, STOP_TIMEOUT_S = 240.0, 25.0
UP = "Lockstep is up"
FOREIGN = ("LOCKSTEP_", "MLFLOW_", "AIRFLOW", "COV_")


@dataclass
class Stack:
    """A home and the ports of its services.

    Attributes:
        home: State folder.
        airflow: Port of Airflow.
        mlflow: Port of MLflow.
        log: File that gets the output.
        settings: Further environment variables.
    """

    home: Path
    airflow: int
    mlflow: int
    log: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        ports = {"LOCKSTEP_AIRFLOW_PORT": str(self.airflow), "LOCKSTEP_MLFLOW_PORT": str(self.mlflow)}
        found = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        return {**found, **ports, "LOCKSTEP_HOME": str(self.home), "PYTHONPATH": str(REPOSITORY), **self.settings}

    def start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "lockstep", "up", "--serve", ""]
        with self.log.open("wb") as stream:
            return subprocess.Popen(
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=self.home,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def password(self) -> str:
        password: str = json.loads((self.home / "airflow" / "passwords.json").read_text())["admin"]
        return password

    def api(self) -> AirflowApi:
        return AirflowApi(self.airflow, self.password())


def eventually(holds: Callable[[], bool], *, within_s: float) -> bool:
    """Say whether something comes true in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.2)
    return False


@contextlib.contextmanager
def up(stack: Stack) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the services and wait until they are healthy; stop what is left at the end."""
    process = stack.start()
    try:
        ready = eventually(lambda: UP in stack.text() or process.poll() is not None, within_s=START_TIMEOUT_S)
        assert ready, stack.text()[-3000:]
        assert process.poll() is None, stack.text()[-3000:]
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=STOP_TIMEOUT_S)
