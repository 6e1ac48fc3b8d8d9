"""A tiny pyfunc in a real MLflow registry (SQLite and local files)."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = """
import mlflow
import pandas as pd


class Sum(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"total": model_input["a"] + model_input["b"]})


mlflow.models.set_model(Sum())
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Tracking URI of a registry with model `sums`: version 1 (champion) and version 2."""
    folder = tmp_path_factory.mktemp("registry")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow comments on models without type hints
        yield register(folder)


def register(folder: Path) -> str:
    """Register two versions; return the tracking URI."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    script = folder / "sum_model.py"
    script.write_text(SCRIPT)
    uri = f"sqlite:///{folder}/mlflow.db"
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.create_experiment("sums", artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment("sums")
    inputs = Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b")])
    signature = ModelSignature(inputs, Schema([ColSpec(DataType.double, "total")]))
    for _ in range(2):
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="m",
                python_model=str(script),
                signature=signature,
                pip_requirements=["pandas"],
                registered_model_name="sums",
            )
    mlflow.MlflowClient().set_registered_model_alias("sums", "champion", "1")
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])
    return uri


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty node cache."""
    return tmp_path / "cache"
