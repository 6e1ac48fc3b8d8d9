"""What a workload is: data, a model, and nothing of any system."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Scores = npt.NDArray[np.float64]

KEYS = ("day", "id")  # every system carries them to its output, as Lockstep does
SCORE = "score"
SEED = 20260101


class Model(Protocol):
    """A loaded model. All systems that bring no model format of their own score with it.

    Its `from_*` methods turn a batch, in the form in which a system hands it over, into what `predict` takes.
    """

    def from_arrow(self, batch: pa.RecordBatch | pa.Table) -> Any:
        """Encode a batch that has at least the input columns."""

    def from_pandas(self, frame: Any) -> Any:
        """Encode a data frame that has at least the input columns."""

    def from_numpy(self, array: npt.NDArray[Any]) -> Any:
        """Encode one array with the rows first: all columns stacked, or the only column."""

    def predict(self, inputs: Any) -> Scores:
        """Score: `(rows,) float64`."""


class Workload(Protocol):
    """One kind of data and the model that scores it."""

    @property
    def name(self) -> str:
        """By which it is asked for."""

    @property
    def title(self) -> str:
        """For tables."""

    @property
    def rows(self) -> int:
        """Default number of rows, for two cores."""

    @property
    def rows_per_file(self) -> int:
        """Most rows of an input file."""

    @property
    def batch_rows(self) -> int:
        """Rows handed to a model at a time, by the systems that let their user choose."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that the model reads."""

    @property
    def tensor_shape(self) -> tuple[int, ...] | None:
        """Shape of a row of the only input column, if it is a tensor."""

    def features(self, rng: np.random.Generator, rows: int) -> dict[str, pa.Array]:
        """Draw input columns."""

    def save(self, folder: Path) -> None:
        """Write the model's own files, the same ones each time."""

    def load(self, folder: Path) -> Model:
        """Load what `save` wrote."""

    def log(self, folder: Path) -> Any:
        """Log the model to the current MLflow run as a pyfunc with a signature; return MLflow's `ModelInfo`.

        Args:
            folder: What `save` wrote.
        """


# Name -> "module:factory".
WORKLOADS = {
    "mlp20": "benchmarks.workloads.mlp:of_20_columns",
    "mlp200": "benchmarks.workloads.mlp:of_200_columns",
    "trees": "benchmarks.workloads.trees:Trees",
    "text": "benchmarks.workloads.text:Text",
    "image": "benchmarks.workloads.image:Image",
}


def find_workload(name: str) -> Workload:
    """Return a workload by its name."""
    module, factory = WORKLOADS[name].split(":")
    make: Callable[[], Workload] = getattr(import_module(module), factory)
    return make()


def log_pyfunc(
    workload: Workload, folder: Path, *, artifacts: Mapping[str, Path] | None = None, **arguments: Any
) -> Any:
    """Log the saved model as an MLflow pyfunc (`benchmarks/pyfunc_model.py`).

    Args:
        workload: Whose model.
        folder: What `save` wrote; it becomes the artifact `model`.
        artifacts: Further ones by name.
        **arguments: Further ones of `mlflow.pyfunc.log_model`.
    """
    import mlflow

    return mlflow.pyfunc.log_model(
        name=workload.name,
        python_model=str(Path(__file__).parents[1] / "pyfunc_model.py"),
        artifacts={name: str(path) for name, path in {"model": folder, **(artifacts or {})}.items()},
        model_config={"workload": workload.name},
        pip_requirements=["torch"],
        **arguments,
    )


def single(batch: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """Return a column as one array."""
    column = batch.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def matrix(batch: pa.RecordBatch | pa.Table, names: Sequence[str], *, axis: int) -> npt.NDArray[np.float32]:
    """Stack columns without nulls along an axis."""
    return np.stack([single(batch, name).to_numpy(zero_copy_only=False) for name in names], axis=axis)
