"""A backend of two functions: one makes arrays of a batch, the other scores them."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from lockstep.scoring.backends import Arrays, Encoded, Group

Encode = Callable[[pa.RecordBatch], Arrays]
Run = Callable[[Arrays], Arrays]


class ArrayBackend:
    """A model that takes arrays of fixed shapes: every batch is one group."""

    def __init__(self, encode: Encode, run: Run, *, device: str = "cpu", parallel: bool = False) -> None:
        self._encode = encode
        self._run = run
        self.device = device
        self.parallel = parallel

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Turn a batch into the model's arrays."""
        return Encoded((Group(self._encode(batch)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Score a block."""
        return self._run(arrays)


def in_calls_of(rows: int, run: Run) -> Run:
    """Return a function that calls `run` with exactly `rows` rows at a time, the last ones copies if need be.

    For graphs that were exported for one number of rows, very often a single one.
    """

    def over(arrays: Arrays) -> Arrays:
        total = len(arrays[0])
        missing = -total % rows
        if missing:
            arrays = tuple(np.concatenate([a, np.repeat(a[:1], missing, axis=0)]) for a in arrays)
        parts = [run(tuple(a[start : start + rows] for a in arrays)) for start in range(0, total + missing, rows)]
        return tuple(np.concatenate(outputs)[:total] for outputs in zip(*parts, strict=True))

    return over
