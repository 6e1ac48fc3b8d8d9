"""From batches to the arrays that MLflow models take, and from results to the outputs of a signature."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import OutputMismatch
from lockstep.registry.signature_json import Tensor
from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays

# Rows put side by side at a time, so that what one column wrote is still in the cache when its neighbour is written.
TILE_ROWS = 4_096
NamedT = TypeVar("NamedT")


def column_arrays(batch: pa.RecordBatch, columns: Sequence[Column]) -> Arrays:
    """Return one `(rows,)` or `(rows, *shape)` array per column of the signature."""
    return tuple(_to_numpy(batch.column(index), column) for index, column in enumerate(columns))


def tensor_arrays(batch: pa.RecordBatch, columns: Sequence[Column], tensors: Sequence[Tensor]) -> Arrays:
    """Return one array per tensor of the signature, of the declared shape and type."""
    arrays = column_arrays(batch, columns)
    return tuple(
        array.reshape(len(array), *tensor.shape) if array.dtype.hasobject else _shaped(array, tensor)
        for array, tensor in zip(arrays, tensors, strict=True)
    )


def matrix(arrays: Arrays, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Put `(rows,)` columns side by side: `(rows, columns)` of one type."""
    out = np.empty((len(arrays[0]), len(arrays)), dtype=dtype)
    for start in range(0, len(out), TILE_ROWS):
        tile = slice(start, start + TILE_ROWS)
        for index, array in enumerate(arrays):
            out[tile, index] = array[tile]
    return out


def split_columns(arrays: Sequence[npt.NDArray[Any]], outputs: int) -> Arrays:
    """Return outputs as they are, or the columns of the only one where a signature has several."""
    if len(arrays) == 1 and outputs > 1 and arrays[0].ndim == 2 and arrays[0].shape[1] == outputs:
        return tuple(np.ascontiguousarray(arrays[0][:, index]) for index in range(outputs))
    return tuple(arrays)


def match_names(outputs: Sequence[Column], names: Sequence[NamedT]) -> list[NamedT]:
    """Find each output of a signature among the names of a result: by name, or the only one for the only one.

    Raises:
        OutputMismatch: A name is missing.
    """
    if len(outputs) == 1 and len(names) == 1:
        return list(names)
    known = {str(name): name for name in names}
    missing = [column.name for column in outputs if column.name not in known]
    if missing:
        expected = f"outputs {', '.join(column.name for column in outputs)}"
        raise OutputMismatch(expected=expected, got=f"outputs {', '.join(known)}")
    return [known[column.name] for column in outputs]


def _to_numpy(array: pa.Array, column: Column) -> npt.NDArray[Any]:
    if column.shape is not None:
        flat = pa.concat_arrays([array]).flatten()
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(array), *column.shape)
    return np.asarray(array.to_pandas().to_numpy())


def _shaped(array: npt.NDArray[Any], tensor: Tensor) -> npt.NDArray[Any]:
    return array.reshape(len(array), *tensor.shape).astype(tensor.dtype, copy=False)
