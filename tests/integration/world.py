"""A small world: five days of sales, a spec, a registry with good and bad models. All real, just small."""

import datetime as dt
import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
ROWS = 400
DAYS = [dt.date(2024, 1, n) for n in range(1, 6)]
TABLE = "churn_scores"
GOOD, CONSTANT, NOT_A_NUMBER, OTHER_GOOD = 1, 2, 3, 4

SPEC = """\
name: churn
description: Will a customer leave?
model: {name: churn, alias: champion}
schedule: {cron: "0 6 * * *", timezone: UTC, start: 2024-01-01}
input:
  query: features.sql
  sources:
    customers:
      path: customers
      partition: day
      days: [0, 0]
      columns: {id: long, city: string, age: double, spend: double}
partition: {column: day}
key: [day, id]
passthrough: [segment]
output: {column: risk}
publish: {table: churn_scores}
reporting: {by_city: reporting/by_city.sql}
limits: {max_quarantined_fraction: 0.01, timeout_s: 300}
"""
QUERY = "SELECT day, id, concat('s', id % 3) AS segment, city, age, spend FROM customers"
GATE = """\
description: Customers of a day.
expectations:
  - {expectation: expect_compound_columns_to_be_unique, columns: [day, id], why: one score for each customer}
  - {expectation: expect_column_values_to_not_be_null, column: age, kwargs: {mostly: 0.5}, why: ages are known}
"""
AUDIT = """\
description: Scores of a day.
expectations:
  - {expectation: expect_column_values_to_be_between, column: risk, kwargs: {min_value: 0, max_value: 1}, why: odds}
  - {expectation: expect_column_stdev_to_be_between, column: risk, kwargs: {min_value: 0.001}, why: not a constant}
"""
REPORTING = "SELECT day, segment, count(*) AS customers, avg(risk) AS mean_risk FROM scores GROUP BY day, segment"
BAD_MODEL = """\
import mlflow
import numpy as np
import pandas as pd


class Bad(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return pd.DataFrame({{"risk": np.full(len(model_input), {value})}})


mlflow.models.set_model(Bad())
"""


@dataclass(frozen=True)
class World:
    """Folders and environment of one small installation."""

    home: Path

    @property
    def env(self) -> dict[str, str]:
        """Environment of every command."""
        own = {"LOCKSTEP_HOME": self.home, "LOCKSTEP_MODELS": self.home / "models", "LOCKSTEP_WAREHOUSE_WAIT_S": 5}
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LOCKSTEP_", "MLFLOW_"))}
        python = {"LOCKSTEP_DATA_PYTHON": sys.executable}
        return {**clean, **python, **{key: str(value) for key, value in own.items()}}

    def command(self, *args: str) -> list[str]:
        """A `lockstep` command line."""
        return [sys.executable, "-m", "lockstep", *args]

    def run(self, *args: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run `lockstep` to its end."""
        full = {**self.env, **(env or {})}
        return subprocess.run(
            self.command(*args), env=full, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )

    def score(self, day: str, *args: str) -> dict[str, Any]:
        """Run one day and return its figures; it must succeed."""
        done = self.run("run", "churn", "--date", day, "--json", *args)
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return facts

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the warehouse; no rows when there is none yet."""
        file = self.home / "warehouse.duckdb"
        if not file.exists():
            return []
        with duckdb.connect(str(file), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def published(self, day: str) -> list[tuple[Any, ...]]:
        """Key, score and model version of a live partition, in key order; none before the first publication."""
        tables = {name for (name,) in self.query("SELECT table_name FROM information_schema.tables")}
        if TABLE not in tables:
            return []
        return self.query(f"SELECT id, risk, model_version, run_key FROM {TABLE} WHERE day = '{day}' ORDER BY id")

    def day_file(self, day: str) -> Path:
        """The source file of a day."""
        return self.home / "data" / "customers" / f"day={day}" / "part-0.parquet"


def customers(day: dt.date) -> pa.Table:
    """The customers of a day."""
    random = np.random.default_rng(day.toordinal())
    return pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "city": [("bern", "oslo", "rome", "atlantis", None)[i] for i in random.integers(0, 5, ROWS)],
            "age": pa.array([None if i % 37 == 0 else float(a) for i, a in enumerate(random.integers(18, 90, ROWS))]),
            "spend": random.gamma(2.0, 50.0, ROWS),
        }
    )


def write_day(world: World, day: dt.date, table: pa.Table) -> None:
    """Write the source file of a day, replacing what was there."""
    file = world.day_file(day.isoformat())
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def write_spec(world: World) -> Path:
    """Write the spec folder; return it."""
    folder = world.home / "models" / "churn"
    files = {
        "scoring.yaml": SPEC,
        "features.sql": QUERY,
        "checks/gate.yaml": GATE,
        "checks/audit.yaml": AUDIT,
        "reporting/by_city.sql": REPORTING,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def build_world(home: Path) -> World:
    """Make data, spec and registry."""
    world = World(home)
    write_spec(world)
    for day in DAYS:
        write_day(world, day, customers(day))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _register_models(home)
    return world


def _register_models(home: Path) -> None:
    import mlflow
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    from lockstep.registry.packaging import Columns, TrainedModel, connect, log_and_register
    from lockstep.scoring.profile import build_baseline

    columns = Columns({"city": ["bern", "oslo", "rome"]}, ["age", "spend"], "risk")
    client = connect(f"sqlite:///{home}/mlflow/mlflow.db", "churn")
    sample = customers(dt.date(2023, 12, 1))
    code = ROOT / "models" / "flight_delay" / "pyfunc_model.py"

    def good(seed: int) -> None:
        scratch = home / "scratch" / str(seed)
        scratch.mkdir(parents=True)
        network = _network(seed)
        _export(network, scratch / "network.pt2")
        known = sample.column("age").combine_chunks().fill_null(float("nan")).to_numpy()
        numbers = np.stack([known, sample.column("spend").to_numpy()], 1).astype(np.float32)
        codes = torch.tensor([[{"bern": 1, "oslo": 2, "rome": 3}.get(c, 0)] for c in sample.column("city").to_pylist()])
        with torch.inference_mode():
            risk = network(codes, torch.from_numpy(numbers)).numpy().astype(np.float64)
        baseline = build_baseline(
            {"city": sample.column("city").combine_chunks(), "age": known, "spend": numbers[:, 1], "risk": risk}
        )
        example = sample.select(["city", "age", "spend"]).slice(1, 4).to_pandas()
        model = TrainedModel(code, scratch / "network.pt2", columns, baseline, example, ["torch"], {}, {})
        log_and_register(client, model, name="churn", alias=f"seed-{seed}", key=str(seed), scratch=scratch)

    def bad(value: str) -> None:
        script = home / "scratch" / "bad_model.py"
        script.write_text(BAD_MODEL.format(value=value))
        inputs = [ColSpec(DataType.string, "city"), ColSpec(DataType.double, "age"), ColSpec(DataType.double, "spend")]
        signature = ModelSignature(Schema(inputs), Schema([ColSpec(DataType.double, "risk")]))
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="churn",
                python_model=str(script),
                signature=signature,
                pip_requirements=["pandas"],
                registered_model_name="churn",
            )

    good(1)
    bad("0.5")
    bad("np.nan")
    good(2)
    client.set_registered_model_alias("churn", "champion", str(GOOD))


def _network(seed: int) -> Any:
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(4, 4)
            self.layers = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))

        def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
            known = torch.nan_to_num(numbers, nan=40.0) / 100
            return torch.sigmoid(self.layers(torch.cat([self.embedding(codes[:, 0]), known], 1))[:, 0])

    torch.manual_seed(seed)
    return Network().eval()


def _export(network: Any, file: Path) -> None:
    import torch

    rows = torch.export.Dim("rows", min=1, max=1 << 20)
    example = (torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, 2))
    torch.export.save(torch.export.export(network, example, dynamic_shapes=({0: rows}, {0: rows})), file)
