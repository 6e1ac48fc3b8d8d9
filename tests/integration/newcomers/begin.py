"""The world in which mistakes are made: two specs, and models as strangers log them."""

import sys
import warnings
from pathlib import Path

from world import World

CLIENTS = """\
name: clients
model: {name: churn, alias: champion}
schedule: {cron: "0 6 * * *", timezone: UTC, start: 2024-01-01}
input:
  table: {path: customers}
partition: {column: day}
key: [day, id]
output: {column: risk}
checks: {gate: checks/gate.yaml, audit: checks/audit.yaml}
publish: {table: clients_scores}
"""
GATE = """\
description: Customers of a day.
expectations:
  - {expectation: expect_column_values_to_not_be_null, column: id, why: an id names a customer}
  - {expectation: expect_compound_columns_to_be_unique, columns: [day, id], why: one score for each customer}
"""
AUDIT = """\
description: Scores of a day.
expectations:
  - {expectation: expect_column_values_to_be_between, column: risk, kwargs: {min_value: 0, max_value: 1}, why: odds}
"""
PLAIN = """\
import mlflow


class Plain(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["age"] / 100


mlflow.models.set_model(Plain())
"""
PRICED = "import pricing_rules\n" + PLAIN


def prepare(world: World) -> None:
    """Add to a world a spec whose input is a table, and three models that a stranger may have registered."""
    write_clients(world)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _log(world.home)


def write_clients(world: World) -> None:
    """Write a spec whose input is a table: until it scores, it needs no Spark."""
    folder = world.home / "models" / "clients"
    for name, text in {"scoring.yaml": CLIENTS, "checks/gate.yaml": GATE, "checks/audit.yaml": AUDIT}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _log(home: Path) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    scripts = home / "scripts"
    scripts.mkdir()
    (scripts / "plain.py").write_text(PLAIN)
    (scripts / "priced.py").write_text(PRICED)
    (scripts / "pricing_rules.py").touch()
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow/mlflow.db")
    mlflow.set_registry_uri(f"sqlite:///{home}/mlflow/mlflow.db")
    outputs = Schema([ColSpec(DataType.double, "risk")])
    signature = ModelSignature(Schema([ColSpec(DataType.double, "age")]), outputs)
    other = ModelSignature(Schema([ColSpec(DataType.double, "tenure"), ColSpec(DataType.long, "city")]), outputs)
    sys.path.insert(0, str(scripts))
    try:
        # Of the last, the team's own module is on the machine where it was logged, and nowhere else.
        for name, script, declared in (
            ("unsigned", "plain", None),
            ("other", "plain", other),
            ("priced", "priced", signature),
        ):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(scripts / f"{script}.py"),
                signature=declared,
                pip_requirements=["pandas"],
                registered_model_name=name,
            )
            mlflow.MlflowClient().set_registered_model_alias(name, "champion", "1")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
        sys.path.remove(str(scripts))
        sys.modules.pop("pricing_rules", None)
