"""Tabular: a multilayer perceptron n-64-64-1 over n float32 columns."""

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from benchmarks.workloads.lockstep_artifact import lockstep_artifacts, lockstep_metadata, rows_dimension
from benchmarks.workloads.workload import SCORE, SEED, Scores, log_pyfunc, matrix
from lockstep.registry.packaging import BLOCK_ROWS, Columns
from lockstep.scoring.profile import build_baseline

HIDDEN = 64
# Larger chunks leave the processor's cache: at 64 k rows the same network takes twice as long.
CHUNK_ROWS = 4096
WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class Mlp:
    """The workload; see `benchmarks.workloads.workload.Workload`."""

    name: str
    title: str
    rows: int
    rows_per_file: int
    columns: int
    batch_rows: int = 65_536
    tensor_shape: tuple[int, ...] | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(f"f{number:03}" for number in range(self.columns))

    def features(self, rng: np.random.Generator, rows: int) -> dict[str, pa.Array]:
        return {name: pa.array(rng.standard_normal(rows, dtype=np.float32)) for name in self.inputs}

    def save(self, folder: Path) -> None:
        torch.manual_seed(SEED)
        sizes = [self.columns, HIDDEN, HIDDEN, 1]
        layers = [torch.nn.Linear(n, m) for n, m in itertools.pairwise(sizes)]
        torch.save([(layer.weight.detach(), layer.bias.detach()) for layer in layers], folder / WEIGHTS)

    def load(self, folder: Path) -> "MlpModel":
        return MlpModel(self.inputs, torch.load(folder / WEIGHTS, weights_only=True))

    def log(self, folder: Path) -> Any:
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        signature = ModelSignature(
            Schema([ColSpec("float", name) for name in self.inputs]), Schema([ColSpec("double", SCORE)])
        )
        names = self.inputs
        sample = self.features(np.random.default_rng(SEED), 20_000)
        scores = self.load(folder).predict(matrix(pa.table(sample), names, axis=0))
        with lockstep_artifacts(
            _Network(torch.load(folder / WEIGHTS, weights_only=True)),
            example=(torch.zeros(8, 0, dtype=torch.int64), torch.zeros(8, self.columns)),
            shapes=({0: rows_dimension()}, {0: rows_dimension()}),
            encoding=Columns({}, names, SCORE).encoding(),
            baseline=build_baseline({**sample, SCORE: scores}),
        ) as artifacts:
            metadata = lockstep_metadata("torch", block_rows=BLOCK_ROWS)
            return log_pyfunc(self, folder, artifacts=artifacts, metadata=metadata, signature=signature)


of_20_columns = partial(Mlp, "mlp20", "MLP 20-64-64-1, 20 float32 columns", 4_000_000, 500_000, 20)
of_200_columns = partial(Mlp, "mlp200", "MLP 200-64-64-1, 200 float32 columns", 1_000_000, 125_000, 200)


class _Network(torch.nn.Module):
    """The same network as one writes it, for `torch.export`; Lockstep hands it codes, of which there are none."""

    def __init__(self, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        linears = [torch.nn.utils.skip_init(torch.nn.Linear, *reversed(weight.shape)) for weight, _ in layers]
        for linear, (weight, bias) in zip(linears, layers, strict=True):
            linear.load_state_dict({"weight": weight, "bias": bias})
        first, second, last = linears
        self.layers = torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU(), last)

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return torch.sigmoid(self.layers(numbers)[:, 0])


class MlpModel:
    """Features lie in the first axis: to stack columns is then one copy each, and no slower for the network."""

    def __init__(self, names: tuple[str, ...], layers: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._names = names
        self._layers = [(weight, bias[:, None]) for weight, bias in layers]

    def from_arrow(self, batch: pa.RecordBatch | pa.Table) -> npt.NDArray[np.float32]:
        return matrix(batch, self._names, axis=0)

    def from_pandas(self, frame: Any) -> npt.NDArray[np.float32]:
        return np.stack([frame[name].to_numpy(dtype=np.float32) for name in self._names])

    def from_numpy(self, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return array.astype(np.float32, copy=False).T

    def predict(self, inputs: npt.NDArray[np.float32]) -> Scores:
        scores = np.empty(inputs.shape[1])
        with torch.inference_mode():
            features = torch.from_numpy(inputs)
            for start in range(0, len(scores), CHUNK_ROWS):
                chunk = features[:, start : start + CHUNK_ROWS]
                scores[start : start + CHUNK_ROWS] = self._forward(chunk).numpy()
        return scores

    def _forward(self, hidden: torch.Tensor) -> torch.Tensor:
        *inner, (weight, bias) = self._layers
        for inner_weight, inner_bias in inner:
            hidden = torch.addmm(inner_bias, inner_weight, hidden).relu_()
        return torch.addmm(bias, weight, hidden).sigmoid_()[0]
