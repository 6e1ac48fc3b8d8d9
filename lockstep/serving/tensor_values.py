"""Tensor columns of a request: nested or flat values to one array of the declared shape and element type."""

import math
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.outputs import numpy_dtype
from lockstep.scoring.signature import described
from lockstep.serving.json_body import json_kind
from lockstep.serving.rows import Values

# Python types that may stand for an element, by what NumPy calls its kind; null is NaN, so only floats have it.
ELEMENT_KINDS: dict[str, frozenset[type]] = {
    "f": frozenset({float, int, type(None)}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
    "O": frozenset({str}),
}


def read_tensor(column: Column, values: Values) -> npt.NDArray[Any]:
    """Read the values of a tensor column.

    Args:
        column: Its shape and element type.
        values: One nested or flat list for each row, or a `(rows, *shape)` array.

    Returns:
        `(rows, *shape)` of the column's dtype.

    Raises:
        RequestInvalid: A row has another shape, or an element another type or a value out of range.
    """
    shape, dtype = column.shape or (), numpy_dtype(column)
    if isinstance(values, np.ndarray):
        return values
    flat = _flattened(column, values, shape)
    allowed = ELEMENT_KINDS[dtype.kind]
    if not allowed.issuperset(map(type, flat)):
        _refuse_element(column, flat, allowed, per_row=math.prod(shape))
    try:
        with np.errstate(over="ignore"):  # as in Arrow, a number beyond float32 is an infinity
            array = np.array(flat, dtype=dtype)
    except (OverflowError, ValueError) as error:
        raise RequestInvalid(f"field {column.name!r}: an element is out of range of {column.dtype}") from error
    return array.reshape(len(values), *shape)


def _flattened(column: Column, values: Values, shape: tuple[int, ...]) -> list[Any]:
    """Return all elements in row order; a row is nested by its shape, or flat."""
    size = math.prod(shape)
    rows: list[Any] = list(values)
    if all(isinstance(row, list) and len(row) == size and not _nested(row) for row in rows):
        return list(chain.from_iterable(rows))
    level = rows
    for axis, length in enumerate(shape):
        for place, item in enumerate(level):
            if not isinstance(item, list) or len(item) != length:
                row = place // max(math.prod(shape[:axis]), 1)
                got = f"an array of {len(item)}" if isinstance(item, list) else json_kind(item)
                expected = f"an array of {length} at depth {axis + 1} of a {described(column)}"
                raise RequestInvalid(f"field {column.name!r}, row {row}: expected {expected}, got {got}")
        level = list(chain.from_iterable(level))
    return level


def _nested(row: list[Any]) -> bool:
    return bool(row) and isinstance(row[0], list)


def _refuse_element(column: Column, flat: list[Any], allowed: frozenset[type], *, per_row: int) -> None:
    for place, value in enumerate(flat):
        if type(value) not in allowed:
            where = f"field {column.name!r}, row {place // max(per_row, 1)}"
            expected = f"elements of type {column.dtype}"
            raise RequestInvalid(f"{where}: expected {expected}, got {json_kind(value)}")
