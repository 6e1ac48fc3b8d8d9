"""The backend of every MLflow model that brings no Lockstep backend: its pyfunc, block by block."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lockstep.errors import ArtifactInvalid, OutputMismatch
from lockstep.registry.artifact import Artifact
from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.outputs import numpy_dtype
from lockstep.scoring.signature import Signature


class PyfuncBackend:
    """Runs `predict` of a loaded pyfunc: on data frames, or on NumPy arrays when the signature has tensors."""

    device = "cpu"

    def __init__(self, model: Any, signature: Signature, *, unnamed_input: bool = False) -> None:
        self._model = model
        self._inputs = signature.inputs
        self._outputs = signature.outputs
        self._unnamed_input = unnamed_input

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return one `(rows,)` or `(rows, *shape)` array per input column."""
        arrays = tuple(_to_numpy(batch.column(index), column) for index, column in enumerate(self._inputs))
        return Encoded((Group(arrays),))

    def run(self, arrays: Arrays) -> Arrays:
        """Predict a block: one array per output."""
        return self._columns(self._model.predict(self._question(arrays)))

    def _question(self, arrays: Arrays) -> Any:
        if self._unnamed_input:
            return arrays[0]
        if any(column.shape is not None for column in self._inputs):
            return {column.name: array for column, array in zip(self._inputs, arrays, strict=True)}
        return pd.DataFrame({column.name: array for column, array in zip(self._inputs, arrays, strict=True)})

    def _columns(self, result: Any) -> Arrays:
        if isinstance(result, (pd.DataFrame, dict)):
            return tuple(_typed(column, result[name]) for column, name in self._named(list(result)))
        if isinstance(result, (tuple, list)) and len(self._outputs) > 1:
            return tuple(_typed(column, values) for column, values in zip(self._outputs, result, strict=True))
        values = np.asarray(result)
        if len(self._outputs) > 1 and values.ndim == 2 and values.shape[1] == len(self._outputs):
            return tuple(_typed(column, values[:, index]) for index, column in enumerate(self._outputs))
        return (_typed(self._outputs[0], values),)

    def _named(self, names: Sequence[Any]) -> list[tuple[Column, Any]]:
        """Match outputs to result columns: by name, or the only one to the only one."""
        if len(self._outputs) == 1 and len(names) == 1:
            return [(self._outputs[0], names[0])]
        wanted = [column.name for column in self._outputs]
        if not set(wanted) <= set(names):
            raise OutputMismatch(expected=f"columns {', '.join(wanted)}", got=f"columns {', '.join(map(str, names))}")
        return [(column, column.name) for column in self._outputs]


def _to_numpy(array: pa.Array, column: Column) -> "np.ndarray[Any, Any]":
    if column.shape is not None:
        flat = pa.concat_arrays([array]).flatten()
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(array), *column.shape)
    return np.asarray(array.to_pandas().to_numpy())


def _typed(column: Column, values: Any) -> "np.ndarray[Any, Any]":
    array = np.asarray(values)
    if array.dtype.hasobject and column.shape is not None:
        array = np.stack(list(array))
    return array.astype(numpy_dtype(column), copy=False)


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
    inputs = model.metadata.get_input_schema()
    return PyfuncBackend(model, artifact.signature, unnamed_input=inputs is not None and not inputs.has_input_names())
