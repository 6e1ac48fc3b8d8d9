"""A small installation: days of customers, models good, slow and other, a registry and a warehouse that can be stopped.

All of it is real: an MLflow server, a PostgreSQL server, torch and pyfunc models, Parquet tables.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from lockstep.services.mlflow import mlflow_server
from lockstep.services.ports import LOOPBACK, Ports, free_port
from lockstep.services.postgres import DATABASE, USER, prepare_cluster
from lockstep.services.process import Component
from lockstep.specs.settings import Settings
from tests.integration.world import AUDIT, DAYS, GATE, ROWS, build_world

ROOT = Path(__file__).parents[2]
READY_S = 120.0
UNITS = 20
SPEC = """\
name: {name}
description: Will a customer leave?
owner: retention
model: {{name: churn, alias: {alias}}}
schedule: {{cron: "0 6 * * *", timezone: UTC, start: 2024-01-01, end: 2024-01-31}}
input: {{table: {{path: "{data}/customers"}}}}
partition: {{column: day}}
key: [day, id]
output: {{column: risk}}
publish: {{warehouse: postgresql, table: {name}}}
limits: {{max_quarantined_fraction: 0.01, timeout_s: {timeout_s}, unit_rows: {unit_rows}, batch_rows: {unit_rows}}}
"""
SLOW_MODEL = """\
import time

import mlflow
import pandas as pd


class Slow(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        time.sleep(0.04 * len(model_input))
        return pd.DataFrame({"risk": model_input["spend"].rank(pct=True) * 0 + (model_input["spend"] % 100) / 100})


mlflow.models.set_model(Slow())
"""


class Server:
    """A server of a fixed port that can be stopped, killed, frozen and started again."""

    def __init__(self, component: Component, log: Path) -> None:
        self._component = component
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> list[int]:
        """The process, if it runs."""
        return [self._process.pid] if self._process is not None else []

    def start(self) -> None:
        """Start it and wait until it answers."""
        command, env = list(self._component.command), dict(self._component.env)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=env, cwd=self._component.cwd, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + READY_S
        while not self._component.ready():
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            time.sleep(0.1)

    def stop(self, sign: int | None = None) -> None:
        """Stop it, as it wants to be stopped unless a signal is given."""
        if self._process is None:
            return
        send = os.killpg if self._component.signal_group else os.kill
        if self._process.poll() is None:
            send(self._process.pid, self._component.stop_signal if sign is None else sign)
        self._process.wait(timeout=60)
        self._process = None

    def freeze(self) -> None:
        """Let it hang: connections are taken and nothing is answered."""
        os.killpg(self.pids[0], signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.pids[0], signal.SIGCONT)


@dataclass(frozen=True)
class Installation:
    """Folders, servers and environment."""

    root: Path
    registry: Server
    warehouse: Server
    env: dict[str, str]
    secrets: dict[str, str] = field(repr=False)

    @property
    def home(self) -> Path:
        """State folder of Lockstep."""
        return self.root / "home"

    def add_spec(self, name: str, *, alias: str = "champion", timeout_s: int = 600) -> str:
        """Declare a spec with a table of its own; return its name."""
        folder = self.home / "models" / name
        (folder / "checks").mkdir(parents=True)
        (folder / "checks" / "gate.yaml").write_text(GATE)
        (folder / "checks" / "audit.yaml").write_text(AUDIT)
        unit_rows = ROWS // UNITS
        text = SPEC.format(name=name, alias=alias, data=self.home / "data", timeout_s=timeout_s, unit_rows=unit_rows)
        (folder / "scoring.yaml").write_text(text)
        return name

    def lockstep(self, *arguments: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a `lockstep` command to its end."""
        command = [sys.executable, "-m", "lockstep", *arguments]
        return subprocess.run(
            command, env={**self.env, **(env or {})}, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
        )

    def ledger(self, table: str) -> list[dict[str, Any]]:
        """Return the entries of a table, oldest first; none before the first."""
        done = self.lockstep("history", table, "--warehouse", "postgresql", "--limit", "1000", "--json")
        return list(reversed(json.loads(done.stdout))) if done.returncode == 0 else []

    def live(self, table: str) -> dict[str, list[tuple[int, float, int]]]:
        """Return id, score and model version of all live rows, by day."""
        with psycopg.connect(self.env["LOCKSTEP_POSTGRESQL"], password=self.secrets["PGPASSWORD"]) as connection:
            known = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            if known is None or known[0] is None:
                return {}
            rows = connection.execute(f'SELECT day, id, risk, model_version FROM "{table}" ORDER BY day, id').fetchall()
        found: dict[str, list[tuple[int, float, int]]] = {}
        for day, key, risk, version in rows:
            found.setdefault(str(day), []).append((key, risk, version))
        return found

    def folders(self, spec: str, day: str) -> list[Path]:
        """Return the run folders of a day."""
        return sorted((self.home / "runs" / spec / day).glob("*"))


def install(root: Path) -> Installation:
    """Make data, models and servers; nothing is started."""
    home = root / "home"
    shutil.rmtree(build_world(home).home / "models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _register_slow(home)
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    settings = Settings.from_env({"LOCKSTEP_HOME": str(home)})
    password = secrets.token_hex(16)
    (root / "warehouse").mkdir()
    cluster, _ = prepare_cluster(
        root / "warehouse" / "data", password=password, is_new_password=True, port=ports.postgres
    )
    registry = mlflow_server(settings, ports=ports)
    assert registry is not None
    # The server of the registry is no part of what `lockstep up` started, and must not look like it.
    registry = replace(registry, env={k: v for k, v in registry.env.items() if not k.startswith("LOCKSTEP_")})
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("LOCKSTEP_", "MLFLOW_", "AIRFLOW", "COV_"))},
        "LOCKSTEP_HOME": str(home),
        "LOCKSTEP_MODELS": str(home / "models"),
        "LOCKSTEP_AIRFLOW_PORT": str(ports.airflow),
        "LOCKSTEP_MLFLOW_PORT": str(free_port()),
        "LOCKSTEP_POSTGRESQL": f"postgresql://{USER}@{LOOPBACK}:{ports.postgres}/{DATABASE}",
        "PGPASSWORD": password,
        "LOCKSTEP_WAREHOUSE_WAIT_S": "5",
        "LOCKSTEP_DATA_PYTHON": sys.executable,
        "MLFLOW_TRACKING_URI": f"http://{LOOPBACK}:{ports.mlflow}",
        "PYTHONPATH": str(ROOT),
    }
    made = Installation(
        root,
        Server(registry, root / "registry.log"),
        Server(cluster.component(), root / "warehouse.log"),
        env,
        {"PGPASSWORD": password},
    )
    (home / "models").mkdir()
    return made


def _register_slow(home: Path) -> None:
    """Register a model that takes its time, 0.04 s for each row, under the alias `slow`."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    script = home / "scratch" / "slow_model.py"
    script.write_text(SLOW_MODEL)
    inputs = [ColSpec(DataType.string, "city"), ColSpec(DataType.double, "age"), ColSpec(DataType.double, "spend")]
    signature = ModelSignature(Schema(inputs), Schema([ColSpec(DataType.double, "risk")]))
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="churn",
            python_model=str(script),
            signature=signature,
            pip_requirements=["pandas"],
            registered_model_name="churn",
        )
    mlflow.MlflowClient().set_registered_model_alias("churn", "slow", str(logged.registered_model_version))


def days(count: int) -> Sequence[str]:
    """Return the first days of the data."""
    return [day.isoformat() for day in DAYS[:count]]
