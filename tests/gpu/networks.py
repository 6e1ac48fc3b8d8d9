"""Networks of three kinds, in a size for a processor and one for a GPU, saved as MLflow saves any torch module."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import torch
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import nn

from tests.unit.registry.mlflow_models import quiet

TOKENS, WORDS = 64, 30_522


@dataclass(frozen=True)
class Kind:
    """A workload: rows are scored in blocks of the size that the network is fastest with, more or less."""

    make: Callable[..., nn.Module]
    shape: tuple[int, ...]
    dtype: type[np.generic]
    rows: dict[str, int]
    block_rows: dict[str, int]
    size: dict[str, int]

    def inputs(self, rows: int) -> np.ndarray:
        """Rows as the network takes them, decoded."""
        rng = np.random.default_rng(1)
        if self.dtype is np.int64:
            return rng.integers(0, WORDS, (rows, *self.shape))
        return rng.normal(size=(rows, *self.shape)).astype(self.dtype)

    def network(self, device: str) -> nn.Module:
        """The network with random weights, the same each time."""
        torch.manual_seed(5)
        return self.make(self.size[device]).eval()

    def save(self, folder: Path, device: str) -> Path:
        """Save it as a plain MLflow model."""
        inputs = Schema([TensorSpec(np.dtype(self.dtype), (-1, *self.shape))])
        signature = ModelSignature(inputs, Schema([TensorSpec(np.dtype(np.float32), (-1, 1))]))
        with quiet():
            mlflow.pytorch.save_model(
                self.network(device),
                str(folder / "m"),
                signature=signature,
                metadata={"lockstep": {"block_rows": self.block_rows[device]}},
                serialization_format="pickle",
                pip_requirements=["torch"],
            )
        return folder / "m"


class Mlp(nn.Module):
    """Three dense layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(200, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Score `(rows, 200)`."""
        return torch.sigmoid(self.layers(given))


class Encoder(nn.Module):
    """A BERT of MiniLM's shape (six layers of 384 on a GPU), mean pooling and a head."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 384)
        layer = nn.TransformerEncoderLayer(384, 12, 1536, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(384, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Score `(rows, 64)` token ids."""
        return torch.sigmoid(self.head(self.encoder(self.words(ids)).mean(dim=1)))


class Images(nn.Module):
    """Convolutions over `(rows, 3, 32, 32)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, 1),
        )

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Score images."""
        return torch.sigmoid(self.layers(given))


class Greedy(nn.Module):
    """Needs a quarter of a mebibyte for each row while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(16, 65_536)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Score `(rows, 16)`."""
        return self.wide(given).amax(dim=1, keepdim=True)


KINDS = {
    "mlp": Kind(
        Mlp,
        (200,),
        np.float32,
        rows={"cpu": 32_768, "cuda": 1_048_576},
        block_rows={"cpu": 2_048, "cuda": 65_536},
        size={"cpu": 256, "cuda": 2_048},
    ),
    "minilm": Kind(
        Encoder,
        (TOKENS,),
        np.int64,
        rows={"cpu": 32, "cuda": 32_768},
        block_rows={"cpu": 8, "cuda": 1_024},
        size={"cpu": 2, "cuda": 6},
    ),
    "images": Kind(
        Images,
        (3, 32, 32),
        np.float32,
        rows={"cpu": 512, "cuda": 131_072},
        block_rows={"cpu": 64, "cuda": 2_048},
        size={"cpu": 16, "cuda": 64},
    ),
}
