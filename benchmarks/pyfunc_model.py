"""The code of the workloads' MLflow models ("models from code"): what one would write to log a torch model."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from benchmarks.workloads.workload import SCORE, find_workload


class WorkloadModel(PythonModel):  # type: ignore[misc]
    """Scores data frames, and dictionaries of arrays where the signature is of tensors."""

    def load_context(self, context: PythonModelContext) -> None:
        torch.set_num_threads(1)  # one process per core
        workload = find_workload(context.model_config["workload"])
        self.inputs = workload.inputs
        self.model = workload.load(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's interface
        model_input: Any,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's interface
    ) -> pd.DataFrame:
        if isinstance(model_input, pd.DataFrame):
            return pd.DataFrame({SCORE: self.model.predict(self.model.from_pandas(model_input))})
        (column,) = self.inputs
        return pd.DataFrame({SCORE: self.model.predict(self.model.from_numpy(model_input[column]))})


set_model(WorkloadModel())
