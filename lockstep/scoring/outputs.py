"""Output arrays of a batch, filled block by block, and their way into Arrow."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import OutputMismatch
from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.scoring.signature import arrow_type, described

Places = slice | npt.NDArray[np.intp]


class OutputArrays:
    """One array per output of a signature, `(rows, *shape)`, of its declared dtype.

    Attributes:
        reasons: Rows without a score, so far, to the reason.
        bare_s: Seconds that the model alone takes for the rows so far; none when that is not known.
    """

    def __init__(self, columns: Sequence[Column], *, rows: int) -> None:
        self._columns = columns
        self.reasons: dict[int, str] = {}
        self.bare_s: float | None = 0.0
        self._arrays = tuple(np.empty((rows, *(column.shape or ())), dtype=numpy_dtype(column)) for column in columns)

    def put(self, places: Places, block: Arrays) -> None:
        """Store the outputs of a block.

        Raises:
            OutputMismatch: The model returned another number of outputs, or another shape, than its signature says.
        """
        if len(block) != len(self._arrays):
            raise OutputMismatch(expected=f"{len(self._arrays)} outputs", got=f"{len(block)}")
        for column, array, values in zip(self._columns, self._arrays, block, strict=True):
            if values.shape[1:] == array.shape[1:]:
                array[places] = values
                continue
            if math.prod(values.shape[1:]) != math.prod(array.shape[1:]):
                expected = f"{column.name} as {described(column)} per row"
                raise OutputMismatch(expected=expected, got=f"an array of shape {values.shape[1:]} per row")
            array[places] = values.reshape(len(values), *array.shape[1:])

    def refuse_not_finite(self) -> None:
        """Give rows with a NaN or an infinity in an output a reason, unless they have one."""
        for array in self._arrays:
            if array.dtype.kind != "f":
                continue
            finite = np.isfinite(array)
            if not finite.all():
                bad = ~finite.all(axis=tuple(range(1, array.ndim))) if array.ndim > 1 else ~finite
                for row in np.flatnonzero(bad):
                    self.reasons.setdefault(int(row), NOT_FINITE)

    def finished(self) -> Arrays:
        """Return the arrays, with NaN (or None, or zero) where a row has a reason."""
        if self.reasons:
            rows = list(self.reasons)
            for array in self._arrays:
                if array.dtype.kind == "f":
                    array[rows] = np.nan
                elif array.dtype.hasobject:
                    array[rows] = None
                else:
                    array[rows] = np.zeros(1, array.dtype)
        return self._arrays


def numpy_dtype(column: Column) -> np.dtype[np.generic]:
    """Return the NumPy dtype of a column's values; object for text."""
    if column.dtype == "string":
        return np.dtype(object)
    kind = arrow_type(column)
    dtype: np.dtype[np.generic] = np.dtype((kind if column.shape is None else kind.value_type).to_pandas_dtype())
    return dtype


def arrow_array(column: Column, values: npt.NDArray[np.generic]) -> pa.Array:
    """Return an output as an Arrow array of the signature's type; a tensor as fixed-size lists, without a copy."""
    wanted = arrow_type(column)
    if column.shape is None:
        return pa.array(values, wanted)
    flat = pa.array(values.reshape(-1), wanted.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, math.prod(column.shape))
