"""Registered models that score whatever fits their signature: one of every column type, one of tensors."""

import warnings
from pathlib import Path
from typing import Any

from world import World

from tests.unit.serving.toy import INPUTS

COLUMNS, TENSORS = "every_type", "pictures"
SERVING = f"""\
models:
  - model: {{name: {COLUMNS}}}
  - model: {{name: {TENSORS}}}
default: {COLUMNS}
security: {{anonymous: {{models: "*", roles: [infer, read, metrics, admin]}}}}
"""
COLUMNS_MODEL = """\
import mlflow
import numpy as np
import pandas as pd


class EveryType(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        total = np.zeros(len(model_input))
        for name in ("distance", "rate", "seats", "flight", "wet"):
            total += np.arctan(pd.to_numeric(model_input[name]).to_numpy(np.float64, na_value=0.5))
        texts = model_input["carrier"].fillna("") + model_input["note"].fillna("")
        months = pd.to_datetime(model_input["at"]).dt.month.fillna(0).to_numpy(np.float64)
        score = np.nan_to_num(np.sin(total + texts.str.len().to_numpy(np.float64) + months))
        lengths = texts.str.len().astype("int64")
        return pd.DataFrame({"score": score, "label": texts, "length": lengths, "long": lengths > 5})


mlflow.models.set_model(EveryType())
"""
TENSORS_MODEL = """\
import mlflow
import numpy as np


class Pictures(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        known = np.nan_to_num(model_input["picture"].astype(np.float64), posinf=1, neginf=1)
        edges = np.arctan(known).sum(axis=(1, 2)) + model_input["codes"].sum(axis=1)
        return {"embedding": np.stack([np.sin(edges), np.cos(edges)], axis=1).astype(np.float32)}


mlflow.models.set_model(Pictures())
"""


def add_models(world: World) -> Path:
    """Register both models in a world's registry; return a `serving.yaml` of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _register(world, COLUMNS, COLUMNS_MODEL, _columns_signature())
        _register(world, TENSORS, TENSORS_MODEL, _tensors_signature())
    file = world.home / "serving.yaml"
    file.write_text(SERVING)
    return file


def _register(world: World, name: str, code: str, signature: Any) -> None:
    import mlflow

    from lockstep.registry.packaging import connect

    script = world.home / f"{name}.py"
    script.write_text(code)
    client = connect(f"sqlite:///{world.home}/mlflow/mlflow.db", name)
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name=name,
            python_model=str(script),
            signature=signature,
            pip_requirements=["pandas"],
            registered_model_name=name,
        )
    client.set_registered_model_alias(name, "champion", "1")


def _columns_signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    inputs = [ColSpec(DataType[column.dtype], column.name, required=column.required) for column in INPUTS]
    outputs = {"score": DataType.double, "label": DataType.string, "length": DataType.long, "long": DataType.boolean}
    return ModelSignature(Schema(inputs), Schema([ColSpec(kind, name) for name, kind in outputs.items()]))


def _tensors_signature() -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    picture = TensorSpec(np.dtype(np.float32), (-1, 2, 3), "picture")
    codes = TensorSpec(np.dtype(np.uint8), (-1, 3), "codes")
    return ModelSignature(Schema([picture, codes]), Schema([TensorSpec(np.dtype(np.float32), (-1, 2), "embedding")]))
