"""The network of `flight_delay`: embeddings and a small MLP, with all preparation of numbers inside."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

CLIP_STD = 6.0  # standard deviations beyond which a number counts as that far, so that no outlier dominates


class FlightDelayNet(nn.Module):
    """Codes and raw numbers in, probability out.

    Missing numbers (NaN) become the training mean plus a flag, and all are standardised, here and not outside: whoever
    runs the network, in Spark, in the endpoint or in a notebook, cannot prepare them differently.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        vocabulary_sizes: Sequence[int],
        mean: npt.NDArray[np.float64],
        *,
        std: npt.NDArray[np.float64],
        hidden: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32))
        dims = [embedding_dim(size) for size in vocabulary_sizes]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size + 1, dim) for size, dim in zip(vocabulary_sizes, dims, strict=True)
        )
        layers: list[nn.Module] = []
        width = sum(dims) + 2 * len(mean)
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def logits(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Return `(rows,) float32` log-odds."""
        missing = torch.isnan(numbers)
        scaled = torch.clamp((numbers - self.mean) / self.std, -CLIP_STD, CLIP_STD)
        scaled = torch.where(missing, torch.zeros_like(scaled), scaled)
        embedded = [embedding(codes[:, i]) for i, embedding in enumerate(self.embeddings)]
        return self.layers(torch.cat([*embedded, scaled, missing.to(scaled.dtype)], dim=1)).squeeze(1)

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Score rows.

        Args:
            codes: `(rows, categorical) int64`, 0 for unknown.
            numbers: `(rows, numeric) float32`, NaN for missing.

        Returns:
            `(rows,) float32` probabilities.
        """
        return torch.sigmoid(self.logits(codes, numbers))


def embedding_dim(vocabulary_size: int) -> int:
    """Return the width of an embedding: about the square root of the vocabulary, 2 to 12."""
    return min(12, max(2, round(vocabulary_size**0.5)))


def moments(numbers: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and standard deviation by column of `(rows, numeric)` values, NaN left out; no deviation is 0."""
    wide = numbers.astype(np.float64)
    known = np.maximum((~np.isnan(wide)).sum(axis=0), 1)
    mean = np.nansum(wide, axis=0) / known
    std = np.sqrt(np.nansum(np.square(wide - mean), axis=0) / known)
    return mean, np.where(std > 0, std, 1.0)


def export(network: FlightDelayNet, path: Path, *, codes: torch.Tensor, numbers: torch.Tensor) -> None:
    """Save the network as a `torch.export` program for any number of rows; the example needs at least two."""
    rows = torch.export.Dim("rows", min=1)
    shapes = {"codes": {0: rows}, "numbers": {0: rows}}
    program = torch.export.export(network.eval(), (codes, numbers), dynamic_shapes=shapes)
    torch.export.save(program, path)
