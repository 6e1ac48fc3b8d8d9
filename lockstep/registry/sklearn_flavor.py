"""Models of `mlflow.sklearn.log_model`: their own method, without MLflow's checks of a frame that fits already.

Estimators get what MLflow's pyfunc gives them (`_SklearnModelWrapper.predict` in `mlflow/sklearn/__init__.py`), a data
frame of the signature's columns; such as only look at its numbers get these as a matrix, which takes a fraction of the
time: scikit-learn makes the same matrix of the frame (`sklearn.utils.validation.check_array`).
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import ThreadpoolController

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import Artifact
from lockstep.registry.model_arrays import column_arrays, matrix
from lockstep.registry.pyfunc_backend import Predict, PyfuncBackend, find_outputs
from lockstep.registry.pyfunc_backend import load as load_pyfunc
from lockstep.registry.unloadable import unloadable
from lockstep.scoring.backends import Arrays, Backend, Encoded, Execution, Group
from lockstep.scoring.outputs import numpy_dtype
from lockstep.scoring.signature import WITHOUT_NULL

LIBRARY = "sklearn"
# Of columns that MLflow gives to a model as they are; times it makes into nanoseconds.
AS_THEY_ARE = {"double", "float", "string", "boolean", "integer", "long"}
FLOATS = {"double", "float"}
# Knows what it was fitted on, and asks that of what it is given.
NAMES = "feature_names_in_"
# Runs a function of the user on what it is given.
OWN_CODE = "FunctionTransformer"


class MatrixBackend:
    """An estimator that reads a matrix of numbers."""

    device = "cpu"

    def __init__(self, predict: Predict, artifact: Artifact) -> None:
        self._predict = predict
        self._inputs = artifact.signature.inputs
        self._outputs = artifact.signature.outputs
        self._dtype = numpy_dtype(self._inputs[0])

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return one `(rows, columns)` matrix, null as NaN."""
        return Encoded((Group((matrix(column_arrays(batch, self._inputs), self._dtype),)),))

    def encode_values(self, columns: Mapping[str, Sequence[Any]]) -> Encoded:
        """Return the same for a few rows of plain values."""
        with np.errstate(over="ignore"):
            values = np.array([columns[column.name] for column in self._inputs], dtype=np.float64).T
            return Encoded((Group((np.ascontiguousarray(values, dtype=self._dtype),)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Score a block, laid out as the matrix of a data frame is: kernels may differ by strides.

        It is a copy, because a model may write to its input and the same rows may be scored again.
        """
        return find_outputs(self._predict(arrays[0].copy(order="F")), self._outputs, rows=len(arrays[0]))


class OnThreads:
    """Calls a function on a number of threads, in which many libraries split their sums; sets it once per thread.

    Args:
        predict: The function.
        threads: Of OpenMP and of linear algebra.
    """

    def __init__(self, predict: Predict, threads: int) -> None:
        self._predict = predict
        self._threads = threads
        self._pools = ThreadpoolController()
        self._seen = threading.local()

    def __call__(self, question: Any) -> Any:
        """Call it."""
        if not hasattr(self._seen, "limits"):
            self._seen.limits = self._pools.limit(limits=self._threads)
        return self._predict(question)


def load(artifact: Artifact, execution: Execution) -> Backend:
    """Load the estimator of an artifact.

    Raises:
        ArtifactInvalid: It cannot be loaded in this environment, or has not the method that it was logged with.
    """
    inputs = artifact.signature.inputs
    if artifact.tensors or not all(
        column.dtype in AS_THEY_ARE and (column.required or column.dtype not in WITHOUT_NULL) for column in inputs
    ):
        return load_pyfunc(artifact, execution)
    estimator = _load_estimator(artifact)
    method = (artifact.flavors.get("python_function") or {}).get("predict_fn", "predict")
    if not callable(getattr(estimator, method, None)):
        raise ArtifactInvalid(artifact.title, f"its {type(estimator).__name__} has no method {method}")
    plain = len({column.dtype for column in inputs}) == 1 and inputs[0].dtype in FLOATS
    reads_numbers = plain and _reads_numbers(estimator, [column.name for column in inputs])
    predict = OnThreads(getattr(estimator, method), execution.threads)
    return MatrixBackend(predict, artifact) if reads_numbers else PyfuncBackend(predict, artifact)


def _load_estimator(artifact: Artifact) -> Any:
    import mlflow.sklearn

    try:
        # MLflow itself adds the code that was logged with the model, and refuses pickles where these are not allowed.
        return mlflow.sklearn.load_model(str(artifact.path))
    except Exception as error:  # a model's own code may raise anything
        raise unloadable(artifact, error) from error


def _reads_numbers(estimator: Any, names: list[str]) -> bool:
    """Whether an estimator makes the same of a matrix as of a data frame; it no longer asks for names then.

    That is so for scikit-learn's own ones that were fitted on a matrix, or on a frame of the same columns of which
    their parts saw no more than the numbers.
    """
    parts = list(_parts(estimator))
    if not all(_is_the_librarys(part) for part in [estimator, *parts]) or any(hasattr(part, NAMES) for part in parts):
        return False
    known = vars(estimator).get(NAMES)
    if known is not None and list(known) == names:
        delattr(estimator, NAMES)
    return not hasattr(estimator, NAMES)


def _parts(value: Any) -> Iterator[Any]:
    """Return the estimators that one is made of, and what these are made of."""
    for held in vars(value).values() if hasattr(value, "__dict__") else value:
        if isinstance(held, (list, tuple)):
            yield from _parts(held)
        elif isinstance(held, np.ndarray) and held.dtype.hasobject:
            yield from _parts(held.ravel())
        elif isinstance(held, dict):
            yield from _parts(list(held.values()))
        elif hasattr(held, "get_params") and not isinstance(held, type):
            yield held
            yield from _parts(held)


def _is_the_librarys(part: Any) -> bool:
    return type(part).__module__.partition(".")[0] == LIBRARY and type(part).__name__ != OWN_CODE
