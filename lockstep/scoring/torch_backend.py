"""The torch backend: a `torch.export` program over integer codes and float32 numbers."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lockstep.scoring.backends import Arrays, Encoded, Execution, Group
from lockstep.scoring.torch_program import load_exported
from lockstep.scoring.torch_runner import TorchRunner, choose_device

# Of small requests, which are put together at once.
FEW_ROWS = 256
NETWORK_FILE, ENCODING_FILE = "network.pt2", "encoding.json"


@dataclass(frozen=True)
class Encoding:
    """How columns become the network's inputs; stored with the model as `encoding.json`.

    Attributes:
        categorical: Column name to known values; the code of a value is 1 + its place, 0 is unknown or null.
        numeric: Columns that pass as float32, null as NaN (the network imputes).
    """

    categorical: dict[str, pa.Array]
    numeric: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "Encoding":
        """Read `encoding.json`."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        categorical = {c["name"]: pa.array(c["values"], pa.string()) for c in stored["categorical"]}
        return cls(categorical, tuple(stored["numeric"]))

    def codes(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """Return `(rows, categorical columns) int64` codes."""
        out = np.zeros((batch.num_rows, len(self.categorical)), dtype=np.int64)
        for index, (name, values) in enumerate(self.categorical.items()):
            found = pc.fill_null(pc.index_in(batch.column(name), value_set=values), -1)
            out[:, index] = np.asarray(found.to_numpy(zero_copy_only=False)) + 1
        return out

    def numbers(self, batch: pa.RecordBatch) -> "SideBySide | npt.NDArray[np.float32]":
        """Return `(rows, numeric columns) float32` values, null as NaN."""
        if batch.num_rows <= FEW_ROWS and batch.schema.names == list(self.numeric):
            types = set(batch.schema.types)
            if len(types) == 1 and pa.types.is_floating(next(iter(types))):  # one call instead of one for each column
                tensor = batch.to_tensor(null_to_nan=True, row_major=False)
                with np.errstate(over="ignore"):
                    return np.asarray(tensor.to_numpy()).astype(np.float32, copy=False)
        columns = [batch.column(name) for name in self.numeric]
        return SideBySide([column.to_numpy(zero_copy_only=False) for column in columns], rows=batch.num_rows)

    @functools.cached_property
    def _lookup(self) -> dict[str, dict[str | None, int]]:
        """Value to code of each categorical column; of a value that is listed twice the first."""
        return {
            name: {value: place + 1 for place, value in reversed(list(enumerate(values.to_pylist())))}
            for name, values in self.categorical.items()
        }

    def codes_of(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[np.int64]:
        """Return what `codes` returns, for plain values."""
        rows = len(next(iter(columns.values())))
        out = np.zeros((rows, len(self.categorical)), dtype=np.int64)
        for index, (name, known) in enumerate(self._lookup.items()):
            out[:, index] = [known.get(value, 0) for value in columns[name]]
        return out

    def numbers_of(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[np.float32]:
        """Return what `numbers` returns, for plain values."""
        if not self.numeric:
            return np.zeros((len(next(iter(columns.values()))), 0), dtype=np.float32)
        with np.errstate(over="ignore"):
            return np.array([columns[name] for name in self.numeric], dtype=np.float64).T.astype(np.float32)


class SideBySide:
    """Number columns as one `(rows, columns) float32` array that is made a slice at a time.

    A block is put together just before the model reads it, when that fits the processor's cache: a whole batch would
    go through memory twice more. A slice lies column after column in memory (Fortran order), which is eight times
    faster to write than row after row, and matrix products take either.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, columns: list[npt.NDArray[np.generic]], *, rows: int) -> None:
        self._columns = columns
        self.shape = (rows, len(columns))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float32]:
        start, stop, _ = rows.indices(len(self))
        out = np.empty((max(stop - start, 0), self.shape[1]), dtype=np.float32, order="F")
        with np.errstate(over="ignore"):  # beyond float32 lies infinity
            for index, column in enumerate(self._columns):
                out[:, index] = column[start:stop]
        return out


class TorchBackend:
    """A network and its encoding, on one device."""

    parallel = True

    def __init__(self, runner: TorchRunner, encoding: Encoding) -> None:
        self._runner = runner
        self._encoding = encoding
        self.device = str(runner.device)

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return `(rows, n) int64` codes and `(rows, m) float32` numbers."""
        codes, numbers = self._encoding.codes(batch), self._encoding.numbers(batch)
        return Encoded((Group((codes, numbers)),))  # type: ignore[arg-type] # SideBySide is sliced, no more

    def encode_values(self, columns: Mapping[str, Sequence[Any]]) -> Encoded:
        """Return the same for a few rows of plain values."""
        return Encoded((Group((self._encoding.codes_of(columns), self._encoding.numbers_of(columns))),))

    def run(self, arrays: Arrays) -> Arrays:
        """Run the network on a block.

        Part of a slice is laid out anew: strides may decide which kernel runs, so they must follow from the size of the
        block alone.
        """
        codes, numbers = arrays
        return self._runner.run((codes, np.asfortranarray(numbers)))


def load(files: Path, execution: Execution) -> TorchBackend:
    """Load `network.pt2` and `encoding.json`.

    Raises:
        DeviceMissing: A GPU is asked for and there is none.
    """
    device = choose_device(execution.device)
    torch.set_num_threads(execution.threads)
    network = load_exported(files / NETWORK_FILE, device, cache=execution.cache)
    runner = TorchRunner(network, device, precision=execution.precision)
    return TorchBackend(runner, Encoding.read(files / ENCODING_FILE))
