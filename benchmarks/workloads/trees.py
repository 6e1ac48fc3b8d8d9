"""Tabular: gradient boosted trees of scikit-learn, 100 trees of 31 leaves over 20 float32 columns.

The model in MLflow is what `mlflow.sklearn.log_model` makes of it, with no line of ours.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.workloads.workload import SCORE, SEED, Scores, matrix

TRAINING_ROWS = 20_000
ESTIMATOR = "estimator.pickle"


@dataclass(frozen=True)
class Trees:
    """The workload; see `benchmarks.workloads.workload.Workload`."""

    name: str = "trees"
    title: str = "100 gradient boosted trees, 20 float32 columns"
    rows: int = 1_000_000
    rows_per_file: int = 125_000
    batch_rows: int = 65_536
    inputs: tuple[str, ...] = tuple(f"f{number:03}" for number in range(20))
    tensor_shape: tuple[int, ...] | None = None

    def features(self, rng: np.random.Generator, rows: int) -> dict[str, pa.Array]:
        return {name: pa.array(rng.standard_normal(rows, dtype=np.float32)) for name in self.inputs}

    def save(self, folder: Path) -> None:
        import joblib

        rng = np.random.default_rng(SEED)
        known = rng.standard_normal((TRAINING_ROWS, len(self.inputs)), dtype=np.float32)
        wanted = np.sin(known[:, 0]) + known[:, 1] * known[:, 2] + 0.1 * rng.standard_normal(TRAINING_ROWS)
        estimator = HistGradientBoostingRegressor(max_iter=100, early_stopping=False, random_state=SEED)
        joblib.dump(estimator.fit(known, wanted), folder / ESTIMATOR)

    def load(self, folder: Path) -> "TreesModel":
        import joblib

        return TreesModel(self.inputs, joblib.load(folder / ESTIMATOR))

    def log(self, folder: Path) -> Any:
        import joblib
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        inputs = Schema([ColSpec("float", name) for name in self.inputs])
        return mlflow.sklearn.log_model(
            joblib.load(folder / ESTIMATOR),
            name=self.name,
            signature=ModelSignature(inputs, Schema([ColSpec("double", SCORE)])),
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
        )


class TreesModel:
    """The fitted estimator."""

    def __init__(self, names: tuple[str, ...], estimator: Any) -> None:
        self._names = names
        self._estimator = estimator

    def from_arrow(self, batch: pa.RecordBatch | pa.Table) -> npt.NDArray[np.float32]:
        return matrix(batch, self._names, axis=1)

    def from_pandas(self, frame: Any) -> npt.NDArray[np.float32]:
        return frame[list(self._names)].to_numpy(dtype=np.float32)  # type: ignore[no-any-return]

    def from_numpy(self, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return array.astype(np.float32, copy=False)

    def predict(self, inputs: npt.NDArray[np.float32]) -> Scores:
        return np.asarray(self._estimator.predict(inputs), dtype=np.float64)
