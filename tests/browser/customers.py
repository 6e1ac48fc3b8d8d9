"""A small installation for the browser: days of customers, a spec, two versions of a model. Real, just small."""

import datetime as dt
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.scoring.profile import Profile, build_baseline

SPEC_NAME = "churn"
TABLE = "churn_scores"
CHAMPION, CHALLENGER = 1, 2
ROWS, KNOWN_ROWS = 400, 4000
FIRST_DAY = dt.date(2024, 1, 1)
DAYS = [FIRST_DAY + dt.timedelta(days=n) for n in range(12)]
BACKFILLED = DAYS[: int(os.environ.get("LOCKSTEP_BACKFILL_DAYS", "10"))]
# Its customers are older and spend more, as if another source had been loaded.
ODD_DAY = BACKFILLED[-1]

# A table needs no feature query, and the schedule is over, so that unpausing the DAG starts nothing by itself.
SPEC = """\
name: churn
description: Probability that a customer leaves within a month.
owner: customer-care
model: {name: churn, alias: champion}
schedule: {cron: "0 6 * * *", timezone: UTC, start: 2024-01-01, end: 2024-01-31}
input:
  table: {path: customers}
partition: {column: day}
key: [day, id]
passthrough: [city]
output: {column: risk}
publish: {table: churn_scores}
limits: {max_quarantined_fraction: 0.01, timeout_s: 300}
drift:
  min_days: 1
  score: {training: {psi: 0.5}, trailing: {ks: 0.3}, severity: warning}
  features: {trailing: {ks: 0.3}}
"""
GATE = """\
description: Customers of a day.
expectations:
  - {expectation: expect_column_values_to_be_between, column: age, kwargs: {min_value: 16, max_value: 110}, why: adults}
"""
AUDIT = """\
description: Scores of a day.
expectations:
  - {expectation: expect_column_values_to_be_between, column: risk, kwargs: {min_value: 0, max_value: 1}, why: odds}
"""


def build_installation(home: Path) -> None:
    """Write data, spec and registry below `home`."""
    folder = home / "models" / SPEC_NAME
    for name, text in {"scoring.yaml": SPEC, "checks/gate.yaml": GATE, "checks/audit.yaml": AUDIT}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for day in DAYS:
        file = home / "data" / "customers" / f"day={day}" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(_customers(day), file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _register_models(home)


def registry(home: Path) -> Any:
    """A client of the installation's registry."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{home}/mlflow/mlflow.db")


def _customers(day: dt.date, *, rows: int = ROWS) -> pa.Table:
    random = np.random.default_rng(day.toordinal())
    youngest, scale = (55, 90.0) if day == ODD_DAY else (18, 50.0)
    columns = {
        "id": pa.array(range(rows), pa.int64()),
        "city": [("bern", "oslo", "rome")[i] for i in random.integers(0, 3, rows)],
        "age": random.integers(youngest, 90, rows).astype(float),
        "spend": random.gamma(2.0, scale, rows),
    }
    return pa.table(columns)


def _register_models(home: Path) -> None:
    """Register two logistic regressions, which need neither torch nor pandas to score."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    from lockstep.registry.artifact import BASELINE_FILE
    from lockstep.registry.packaging import connect

    client = connect(f"sqlite:///{home}/mlflow/mlflow.db", SPEC_NAME)
    inputs = Schema([ColSpec(DataType.double, "age"), ColSpec(DataType.double, "spend")])
    signature = ModelSignature(inputs, Schema([ColSpec(DataType.float, "risk")]))
    for weights in ((-0.03, -0.004), (-0.02, -0.008)):
        with mlflow.start_run():
            network = _regression(weights)
            info = mlflow.onnx.log_model(
                network,
                name=SPEC_NAME,
                signature=signature,
                pip_requirements=["onnxruntime"],
                registered_model_name=SPEC_NAME,
            )
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / BASELINE_FILE).write_text(json.dumps(_baseline(network).to_json()))
            client.log_model_artifacts(info.model_id, folder, "artifacts")
    client.set_registered_model_alias(SPEC_NAME, "champion", str(CHAMPION))
    client.set_registered_model_alias(SPEC_NAME, "challenger", str(CHALLENGER))


def _baseline(network: Any) -> Profile:
    """Profile the customers of a month before, whom the model was made from, and its scores of them."""
    import onnxruntime

    known = _customers(FIRST_DAY - dt.timedelta(days=31), rows=KNOWN_ROWS)
    columns = {name: known.column(name).to_numpy() for name in ("age", "spend")}
    session = onnxruntime.InferenceSession(network.SerializeToString())
    inputs = np.stack(list(columns.values()), axis=1).astype(np.float32)
    (risk,) = session.run(None, {"x": inputs})
    return build_baseline({**columns, "risk": risk[:, 0].astype(np.float64)})


def _regression(weights: tuple[float, float]) -> Any:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["risk"]),
    ]
    graph = helper.make_graph(
        nodes,
        SPEC_NAME,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("risk", TensorProto.FLOAT, [None, 1])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [2, 1], weights),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [1.5]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
