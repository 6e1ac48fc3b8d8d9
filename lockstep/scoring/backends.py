"""Backends: what runs the model on one block of rows. Adding one adds a file and a line in `BACKENDS`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Arrays = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class Execution:
    """How a model is run, apart from what it is.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `float32`, or a reduced one that a measured guard has allowed: `bfloat16`, `float16`, `int8`.
        threads: Processor threads of one forward pass. One by default, because the split of a sum over threads may
            change its last bit, and because Spark and the endpoint already run one process per core.
        cache: Folder for what is worked out from the artifact once per machine; none to keep nothing.
    """

    device: str = "auto"
    precision: str = "float32"
    threads: int = 1
    cache: Path | None = None


@dataclass(frozen=True)
class Group:
    """Encoded rows whose arrays have the same trailing shapes.

    Attributes:
        arrays: The model's input arrays, each with the rows of the group as first axis.
        rows: Places of these rows in the batch; none when the group is the whole batch in order.
    """

    arrays: Arrays
    rows: npt.NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Encoded:
    """A batch as the model reads it.

    Attributes:
        groups: One group, or several where shapes differ by row (texts by their padded length). How a row is
            encoded, and so the shape of its group, depends on that row alone.
        reasons: Rows that cannot be encoded, in no group, to the reason (see `lockstep.scoring.reasons`).
    """

    groups: tuple[Group, ...]
    reasons: dict[int, str] = field(default_factory=dict)


class Backend(Protocol):
    """A loaded model. `encode` may be called on any number of rows, `run` on blocks of a few fixed sizes.

    One that may be called by several threads at a time, and lets go of Python's lock while it computes, says so by an
    attribute `parallel = True`. What runs code of a user does not: nothing is known of it.
    """

    device: str

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Turn a batch of the signature's schema into the model's input arrays."""

    def run(self, arrays: Arrays) -> Arrays:
        """Score encoded rows: `(rows, ...)` arrays to one `(rows, ...)` array per output of the signature."""


class ValuesBackend(Backend, Protocol):
    """A backend that also reads a few rows of plain values, which for them is faster than by way of Arrow."""

    def encode_values(self, columns: Mapping[str, Sequence[Any]]) -> Encoded:
        """Return what `encode` returns for the batch of the same values, to the bit.

        Args:
            columns: Of each input its values: floats or text, None and NaN for missing.
        """


class DrawingBackend(Backend, Protocol):
    """A backend that knows what its inputs look like, which a signature does not say of texts."""

    def draw(self, rows: int) -> pa.RecordBatch:
        """Return rows of the signature's schema, of every shape that inputs are brought to."""


# Backend name in the artifact's metadata -> "module:function" of its loader, imported only when it is asked for.
BACKENDS = {
    "torch": "lockstep.scoring.torch_backend:load",
    "text": "lockstep.scoring.text_backend:load",
}


def load_backend(name: str, files: Path, execution: Execution) -> Backend:
    """Load a backend from the artifact files of a model.

    Raises:
        KeyError: No backend of that name.
        DeviceMissing: A GPU is asked for and there is none.
    """
    module, function = BACKENDS[name].split(":")
    loader: Callable[[Path, Execution], Backend] = getattr(import_module(module), function)
    return loader(files, execution)
