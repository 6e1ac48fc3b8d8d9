"""Backends: what runs the model on one block of rows. Adding one adds a file and a line in `BACKENDS`."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]


class Backend(Protocol):
    """A loaded model. `encode` may be called on any number of rows, `run` on blocks of one fixed shape."""

    def encode(self, batch: pa.RecordBatch) -> tuple[npt.NDArray[np.generic], ...]:
        """Turn a batch of the signature's schema into the model's input arrays, each with `rows` as first axis."""

    def run(self, arrays: tuple[npt.NDArray[np.generic], ...]) -> Floats:
        """Score encoded rows: `(rows, ...)` arrays to `(rows,) float64`."""


# Backend name in the artifact's metadata -> "module:function" of its loader, imported only when it is asked for.
BACKENDS = {
    "torch": "lockstep.scoring.torch_backend:load",
}


def load_backend(name: str, files: Path) -> Backend:
    """Load a backend from the artifact files of a model.

    Raises:
        KeyError: No backend of that name.
    """
    module, function = BACKENDS[name].split(":")
    loader: Callable[[Path], Backend] = getattr(import_module(module), function)
    return loader(files)
