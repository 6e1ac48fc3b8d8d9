"""Count, extremes and moments of an array of numbers."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.floating[Any]]

# Values that are added up in float32 before float64 takes over: the rounding error stays below that of the values.
PIECE_ROWS, DOT_ROWS = 1024, 8192
ONES = np.ones(PIECE_ROWS, dtype=np.float32)


@dataclass(frozen=True)
class Moments:
    """Of the finite values of an array.

    Attributes:
        known: The finite values.
        sum, sum_sq: Of values and of their squares.
        min, max: None without values.
    """

    known: Numbers
    sum: float = 0.0
    sum_sq: float = 0.0
    min: float | None = None
    max: float | None = None


def moments_of(values: Numbers) -> Moments:
    """Return the moments of `(n,)` numbers; NaN and infinities are left out."""
    if not len(values):
        return Moments(values)
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        known = values[np.isfinite(values)]
        return moments_of(known)
    total, squares = _sums(values)
    return Moments(values, total, squares, low, high)


def _sums(values: Numbers) -> tuple[float, float]:
    if values.dtype == np.float32 and len(values) >= PIECE_ROWS:
        total, squares = _float32_sums(values)
        if math.isfinite(squares):
            return total, squares
    exact = values.astype(np.float64, copy=False)
    # In pieces so short that BLAS starts no threads.
    pieces = (exact[start : start + DOT_ROWS] for start in range(0, len(exact), DOT_ROWS))
    return float(exact.sum()), float(sum(np.dot(piece, piece) for piece in pieces))


def _float32_sums(values: Numbers) -> tuple[float, float]:
    """Add up differences to the first value, in pieces: half the time of float64.

    Differences, because squares of values with a large mean and a small spread would lose the spread.
    """
    pivot = values[0]
    with np.errstate(over="ignore", invalid="ignore"):
        centred = values - pivot
        pieces = centred[: len(centred) - len(centred) % PIECE_ROWS].reshape(-1, PIECE_ROWS)
        rest = centred[pieces.size :]
        total = float(np.vecdot(pieces, ONES).sum(dtype=np.float64)) + float(rest.sum(dtype=np.float64))
        squares = float(np.vecdot(pieces, pieces).sum(dtype=np.float64)) + float(rest @ rest)
    shift = float(pivot)
    return total + len(values) * shift, squares + 2 * shift * total + len(values) * shift * shift
