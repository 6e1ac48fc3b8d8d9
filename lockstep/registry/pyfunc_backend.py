"""The backend of every MLflow model that brings no Lockstep backend: its pyfunc, block by block."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import Artifact

Arrays = tuple[npt.NDArray[np.generic], ...]


class PyfuncBackend:
    """Runs `predict` of a loaded pyfunc on data frames of one block."""

    def __init__(self, model: Any, *, names: list[str], output: str) -> None:
        self._model = model
        self._names = names
        self._output = output

    def encode(self, batch: pa.RecordBatch) -> Arrays:
        """Return one `(rows,)` array per input column."""
        return tuple(batch.column(name).to_pandas().to_numpy() for name in self._names)

    def run(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Predict a block: `(rows,) float64`."""
        frame = pd.DataFrame(dict(zip(self._names, arrays, strict=True)))
        return self._column(self._model.predict(frame))

    def _column(self, result: Any) -> npt.NDArray[np.float64]:
        if isinstance(result, pd.DataFrame):
            result = result[self._output] if self._output in result.columns else result.iloc[:, 0]
        values = np.asarray(result, dtype=np.float64)
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def load(artifact: Artifact) -> PyfuncBackend:
    """Load the pyfunc of an artifact.

    Raises:
        ArtifactInvalid: MLflow cannot load it in this environment.
    """
    import mlflow.pyfunc

    try:
        model = mlflow.pyfunc.load_model(str(artifact.path))
    except Exception as error:  # a model's own code may raise anything
        raise ArtifactInvalid(artifact.path.name, f"MLflow cannot load it: {type(error).__name__}: {error}") from error
    return PyfuncBackend(model, names=artifact.signature.schema().names, output=artifact.signature.outputs[0].name)
