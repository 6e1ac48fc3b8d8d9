"""The backend of every MLflow model that nothing faster scores: its pyfunc, block by block."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.registry.artifact import Artifact
from lockstep.registry.model_arrays import column_arrays, match_names, tensor_arrays
from lockstep.registry.unloadable import unloadable
from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays, Encoded, Execution, Group
from lockstep.scoring.outputs import numpy_dtype
from lockstep.scoring.signature import WITHOUT_NULL

Predict = Callable[[Any], Any]


class PyfuncBackend:
    """Runs the `predict` of a model: on data frames, or on NumPy arrays when the signature has tensors."""

    device = "cpu"

    def __init__(self, predict: Predict, artifact: Artifact) -> None:
        self._predict = predict
        self._inputs = artifact.signature.inputs
        self._outputs = artifact.signature.outputs
        self._tensors = artifact.tensors

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return one array per input; rows with a null whose type has no place for it are a group of their own."""
        with_null = self._with_null(batch)
        if with_null is None:
            return Encoded((Group(self._arrays(batch)),))
        parts = (np.flatnonzero(~with_null), np.flatnonzero(with_null))
        return Encoded(tuple(Group(self._arrays(batch.take(pa.array(p))), p) for p in parts if len(p)))

    def _with_null(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_] | None:
        """Return which rows lack an optional integer or boolean; pandas would change the type of all rows for them."""
        lacking = [
            batch.column(index).is_null()
            for index, column in enumerate(self._inputs)
            if column.dtype in WITHOUT_NULL and column.shape is None and batch.column(index).null_count
        ]
        if not lacking:
            return None
        some = lacking[0]
        for other in lacking[1:]:
            some = pc.or_(some, other)
        return np.asarray(some.to_numpy(zero_copy_only=False))

    def _arrays(self, batch: pa.RecordBatch) -> Arrays:
        if self._tensors:
            return tensor_arrays(batch, self._inputs, self._tensors)
        return column_arrays(batch, self._inputs)

    def run(self, arrays: Arrays) -> Arrays:
        """Predict a block: one array per output."""
        return find_outputs(self._predict(self._question(arrays)), self._outputs, rows=len(arrays[0]))

    def _question(self, arrays: Arrays) -> Any:
        if not self._tensors:
            return pd.DataFrame({column.name: array for column, array in zip(self._inputs, arrays, strict=True)})
        # Copies, because a model may write to its input and the same rows may be scored again.
        if not self._tensors[0].is_named:
            return arrays[0].copy()
        return {column.name: array.copy() for column, array in zip(self._inputs, arrays, strict=True)}


def find_outputs(result: Any, outputs: Sequence[Column], *, rows: int) -> Arrays:
    """Find the outputs of a signature in what a model may return.

    Args:
        result: A data frame, a dict, rows as dicts, a matrix, a list, a tuple or a series.
        outputs: Of the signature.
        rows: How many were asked for.

    Returns:
        One `(rows, ...)` array per output, of its dtype.
    """
    if isinstance(result, list) and result and all(isinstance(row, dict) for row in result):
        result = pd.DataFrame(result)
    if isinstance(result, (pd.DataFrame, dict)):
        names = match_names(outputs, list(result)) if _is_by_name(result, outputs) else None
        if names is not None:
            found = [result[name] for name in names]
            return tuple(_typed(column, values) for column, values in zip(outputs, found, strict=True))
        result = pd.DataFrame(result).to_numpy()
    count = len(outputs)
    if isinstance(result, (tuple, list)) and count > 1 and len(result) == count and _are_columns(result, rows=rows):
        return tuple(_typed(column, values) for column, values in zip(outputs, result, strict=True))
    values = np.asarray(result)
    if count > 1 and values.ndim == 2 and values.shape[1] == count:
        return tuple(_typed(column, values[:, index]) for index, column in enumerate(outputs))
    return (_typed(outputs[0], values),)


def _is_by_name(result: Any, outputs: Sequence[Column]) -> bool:
    """Whether columns are outputs; not where a data frame of several is the rows of one tensor."""
    only = outputs[0]
    return len(outputs) > 1 or len(result) == 1 or only.shape is None or only.name in result


def _are_columns(result: Any, *, rows: int) -> bool:
    """Whether a sequence holds one sequence per output, and not one per row."""
    return all(np.ndim(values) > 0 and len(values) == rows for values in result)


def _typed(column: Column, values: Any) -> npt.NDArray[Any]:
    dtype = numpy_dtype(column)
    if isinstance(values, pd.Series) and dtype.kind == "f":
        return values.to_numpy(dtype=dtype, na_value=np.nan)
    array = np.asarray(values)
    if array.dtype.hasobject and column.shape is not None:
        array = np.stack(list(array))
    return array.astype(dtype, copy=False)


def load(artifact: Artifact, execution: Execution) -> PyfuncBackend:
    """Load the pyfunc of an artifact; where it runs is its own affair, so `execution` says nothing to it.

    Raises:
        ArtifactInvalid: MLflow cannot load it in this environment.
    """
    del execution
    import mlflow.pyfunc

    try:
        model = mlflow.pyfunc.load_model(str(artifact.path))
    except Exception as error:  # a model's own code may raise anything
        raise unloadable(artifact, error) from error
    return PyfuncBackend(model.predict, artifact)
