"""The training set, read whole for evaluation and fed by Petastorm for training."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from petastorm import make_batch_reader
from petastorm.pytorch import BatchedDataLoader

SHUFFLED_ROWS = 32_768  # rows that Petastorm mixes at a time


class RowsLost(RuntimeError):
    """An epoch did not show every row exactly once."""

    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"the reader gave {got:,} rows in one epoch; the files hold {expected:,}")


@dataclass(frozen=True)
class TrainingSet:
    """A folder written by `jobs/build_training_set.py`."""

    folder: Path
    meta: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "TrainingSet":
        """Read the description; `FileNotFoundError` when there is none."""
        return cls(folder, json.loads((folder / "training_set.json").read_text(encoding="utf-8")))

    @property
    def categorical(self) -> list[str]:
        """Names of the coded columns."""
        return [column["name"] for column in self.meta["categorical"]]

    @property
    def vocabulary(self) -> dict[str, list[str]]:
        """Values of each coded column; the code of a value is 1 + its place."""
        return {column["name"]: column["values"] for column in self.meta["categorical"]}

    @property
    def numeric(self) -> list[str]:
        """Names of the number columns."""
        return list(self.meta["numeric"])

    def files(self, split: str) -> list[Path]:
        """Return the Parquet files of a split, in order."""
        return sorted((self.folder / split).glob("*.parquet"))


@dataclass(frozen=True)
class Rows:
    """A split in memory.

    Attributes:
        codes: `(rows, categorical) int64`.
        numbers: `(rows, numeric) float64`, NaN for missing.
        labels: `(rows,) int64`.
    """

    codes: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]

    def digest(self) -> str:
        """Return the sha256 of the content, in hex; the bytes of Spark files differ from build to build."""
        arrays = (self.codes, self.numbers, self.labels)
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the network's inputs: codes and float32 numbers."""
        return torch.from_numpy(self.codes), torch.from_numpy(self.numbers.astype(np.float32))


def read_rows(data: TrainingSet, split: str) -> Rows:
    """Read a whole split."""
    table = pq.read_table(data.files(split))

    def stack(names: list[str], dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.stack([table[name].to_numpy().astype(dtype) for name in names], axis=1)

    labels = table[data.meta["label"]].to_numpy().astype(np.int64)
    return Rows(stack(data.categorical, np.int64), stack(data.numeric, np.float64), labels)


def epoch(
    data: TrainingSet, split: str, *, batch_rows: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield one epoch of shuffled batches, in an order that depends on the seed only.

    Args:
        data: The training set.
        split: Its split.
        batch_rows: Rows of a batch; the last may be shorter.
        seed: Of the row-group order here; the order of rows follows torch's global generator.

    Yields:
        Codes `(rows, categorical) int64`, numbers `(rows, numeric) float32`, labels `(rows,) float32`.

    Raises:
        RowsLost: The epoch ended and its rows are not those of the files (some Petastorm releases lose rows).
    """
    seen = 0
    # One worker: with several, row groups arrive in the order in which threads finish.
    reader = make_batch_reader(
        f"file://{data.folder.absolute() / split}", workers_count=1, num_epochs=1, shuffle_row_groups=True, seed=seed
    )
    # Copied into tensors: the reader's arrays are views of Arrow memory, which torch must not share.
    loader = BatchedDataLoader(
        reader, batch_size=batch_rows, transform_fn=torch.tensor, shuffling_queue_capacity=SHUFFLED_ROWS
    )
    with loader:
        for batch in loader:
            codes = torch.stack([batch[name].long() for name in data.categorical], dim=1)
            numbers = torch.stack([batch[name].float() for name in data.numeric], dim=1)
            labels = batch[data.meta["label"]].float()
            seen += len(labels)
            yield codes, numbers, labels
    expected = data.meta["splits"][split]["rows"]
    if seen != expected:
        raise RowsLost(expected=expected, got=seen)
