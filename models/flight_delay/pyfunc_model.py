"""The registered model's code: MLflow stores this file and runs it on loading ("models from code").

It needs mlflow, numpy, pandas and torch, nothing of Lockstep, so any MLflow client can load and score the model.
Rows run as one batch on torch's own number of threads; Lockstep's scorer runs the same network in blocks of a fixed
shape. The two agree to about 1e-7, not to the last bit (see docs/adr/0004-model-artifact.md).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class FlightDelay(PythonModel):  # type: ignore[misc]
    """Encodes a data frame as `encoding.json` says and runs the exported network."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load network and encoding from the model's artifacts."""
        self.network = torch.export.load(context.artifacts["network"]).module()
        self.encoding = json.loads(Path(context.artifacts["encoding"]).read_text(encoding="utf-8"))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's interface
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's interface
    ) -> pd.DataFrame:
        """Return one column of probabilities, a row for each input row."""
        output = self.encoding["output"]
        if model_input.empty:
            return pd.DataFrame({output: np.empty(0)}, index=model_input.index)
        codes = np.stack(
            [self._codes(model_input[c["name"]], c["values"]) for c in self.encoding["categorical"]], axis=1
        )
        numbers = model_input[self.encoding["numeric"]].to_numpy(dtype=np.float32, na_value=np.nan)
        with torch.inference_mode():
            scores = self.network(torch.from_numpy(codes), torch.from_numpy(np.ascontiguousarray(numbers)))
        return pd.DataFrame({output: scores.numpy().astype(np.float64)}, index=model_input.index)

    @staticmethod
    def _codes(column: pd.Series, values: list[str]) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Return 1 + the place of each value, 0 for unknown or null."""
        places = {value: place for place, value in enumerate(values, start=1)}
        return column.map(places).fillna(0).to_numpy(dtype=np.int64)


set_model(FlightDelay())
