"""The torch backend: a `torch.export` program over integer codes and float32 numbers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

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

    def numbers(self, batch: pa.RecordBatch) -> npt.NDArray[np.float32]:
        """Return `(rows, numeric columns) float32` values, null as NaN."""
        out = np.empty((batch.num_rows, len(self.numeric)), dtype=np.float32)
        for index, name in enumerate(self.numeric):
            out[:, index] = batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
        return out


class TorchBackend:
    """A network and its encoding, on one device."""

    def __init__(self, network: Any, encoding: Encoding, *, device: torch.device) -> None:
        self._network = network
        self._encoding = encoding
        self._device = device

    def encode(self, batch: pa.RecordBatch) -> tuple[npt.NDArray[np.generic], ...]:
        """Return `(rows, n) int64` codes and `(rows, m) float32` numbers."""
        return self._encoding.codes(batch), self._encoding.numbers(batch)

    def run(self, arrays: tuple[npt.NDArray[np.generic], ...]) -> npt.NDArray[np.float64]:
        """Run the network: `(rows,) float64`."""
        inputs = [torch.from_numpy(array).to(self._device) for array in arrays]
        with torch.inference_mode():
            result = self._network(*inputs)
        return np.asarray(result.reshape(-1).to("cpu", torch.float64).numpy())


def load(files: Path) -> TorchBackend:
    """Load `network.pt2` and `encoding.json`; on the first GPU if there is one, else on one CPU thread.

    One thread, because the split of a sum over threads may change its last bit, and because Spark and the endpoint
    already run one process per core.
    """
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    program = torch.export.load(files / NETWORK_FILE)
    network = program.module().to(device)
    return TorchBackend(network, Encoding.read(files / ENCODING_FILE), device=device)
