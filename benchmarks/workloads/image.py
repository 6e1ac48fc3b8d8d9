"""Images: a small residual network with random weights over 3 x 32 x 32 uint8, a fixed-size-list column."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from benchmarks.workloads.workload import SCORE, SEED, Scores, log_pyfunc, single

SHAPE = (3, 32, 32)
COLUMN = "image"
CHUNK_ROWS = 64
WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class Image:
    """The workload; see `benchmarks.workloads.workload.Workload`."""

    name: str = "image"
    title: str = "Residual network, images of 3 × 32 × 32"
    rows: int = 20_000
    rows_per_file: int = 2_500
    batch_rows: int = 1_024
    inputs: tuple[str, ...] = (COLUMN,)
    tensor_shape: tuple[int, ...] | None = SHAPE

    def features(self, rng: np.random.Generator, rows: int) -> dict[str, pa.Array]:
        patches = rng.integers(0, 224, (rows, 3, 4, 4), dtype=np.uint8).repeat(8, axis=2).repeat(8, axis=3)
        pixels = patches + rng.integers(0, 32, (rows, *SHAPE), dtype=np.uint8)
        return {COLUMN: pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), math.prod(SHAPE))}

    def save(self, folder: Path) -> None:
        torch.manual_seed(SEED)
        network = Network()
        sample = ImageModel(network).from_arrow(pa.table(self.features(np.random.default_rng(SEED), 256)))
        with torch.no_grad():  # else random weights give all images nearly the same score
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            logits = torch.logit(network(torch.from_numpy(sample.copy())))
            network.head.weight.div_(logits.std())
            network.head.bias.sub_(logits.mean()).div_(logits.std())
        torch.save(network.state_dict(), folder / WEIGHTS)

    def load(self, folder: Path) -> "ImageModel":
        network = Network()
        network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
        return ImageModel(network.eval())

    def log(self, folder: Path) -> Any:
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        signature = ModelSignature(
            Schema([TensorSpec(np.dtype(np.uint8), (-1, *SHAPE), COLUMN)]),
            Schema([TensorSpec(np.dtype(np.float64), (-1,), SCORE)]),
        )
        return log_pyfunc(self, folder, signature=signature)


class Block(torch.nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, out: int, *, stride: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(channels, out, 3, stride=stride, padding=1)
        self.second = torch.nn.Conv2d(out, out, 3, padding=1)
        self.around = torch.nn.Conv2d(channels, out, 1, stride=stride)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(image))) + self.around(image))


class Network(torch.nn.Module):
    """Three residual blocks; uint8 images in, one score each out. Normalisation is folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, padding=1)
        blocks = [Block(16, 16, stride=1), Block(16, 32, stride=2), Block(32, 64, stride=2)]
        self.blocks = torch.nn.Sequential(*blocks)
        self.head = torch.nn.Linear(64, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scaled = image.to(torch.float32).div(127.5).sub(1)
        pooled = self.blocks(torch.relu(self.stem(scaled))).mean(dim=(2, 3))
        return torch.sigmoid(self.head(pooled)[:, 0])


class ImageModel:
    """The network, in the memory format that its convolutions like best."""

    def __init__(self, network: Network) -> None:
        self._network = network.to(memory_format=torch.channels_last)

    def from_arrow(self, batch: pa.RecordBatch | pa.Table) -> npt.NDArray[np.uint8]:
        values = single(batch, COLUMN).flatten().to_numpy(zero_copy_only=False)
        return self.from_numpy(values)

    def from_pandas(self, frame: Any) -> npt.NDArray[np.uint8]:
        return self.from_numpy(np.stack(list(frame[COLUMN])))

    def from_numpy(self, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        return array.reshape(-1, *SHAPE).astype(np.uint8, copy=False)

    def predict(self, inputs: npt.NDArray[np.uint8]) -> Scores:
        scores = np.empty(len(inputs))
        with torch.inference_mode():
            for start in range(0, len(inputs), CHUNK_ROWS):
                chunk = torch.from_numpy(inputs[start : start + CHUNK_ROWS].copy())  # Arrow's memory is read-only
                scores[start : start + CHUNK_ROWS] = self._network(chunk.to(memory_format=torch.channels_last)).numpy()
        return scores
