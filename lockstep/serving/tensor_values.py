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
    flat = _flattened(column, list(values), shape)
    allowed = ELEMENT_KINDS[dtype.kind]
    if not allowed.issuperset(map(type, flat)):
        flat = _whole_numbers(column, flat, allowed, per_row=math.prod(shape))
    beyond = f"field {column.name!r}: an element is out of range of {column.dtype}"
    try:
        with np.errstate(over="ignore"):  # looked for below
            array = np.array(flat, dtype=dtype)
    except (OverflowError, ValueError) as error:
        raise RequestInvalid(beyond) from error
    if dtype.kind == "f" and np.isinf(array).sum() != flat.count(math.inf) + flat.count(-math.inf):
        raise RequestInvalid(beyond)
    return array.reshape(len(values), *shape)


def _flattened(column: Column, rows: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Return all elements in row order; each row is nested by its shape, or flat."""
    size = math.prod(shape)
    flat = [isinstance(row, list) and len(row) == size and not _nested(row) for row in rows]
    if all(flat):
        return list(chain.from_iterable(rows))
    if not any(flat):
        return _unnested(column, rows, shape, first=0)
    parts = (
        row if done else _unnested(column, [row], shape, first=place)
        for place, (row, done) in enumerate(zip(rows, flat, strict=True))
    )
    return list(chain.from_iterable(parts))


def _unnested(column: Column, rows: list[Any], shape: tuple[int, ...], *, first: int) -> list[Any]:
    """Return the elements of nested rows, of which the first is row `first` of the request."""
    level = rows
    for axis, length in enumerate(shape):
        for place, item in enumerate(level):
            if not isinstance(item, list) or len(item) != length:
                row = first + place // max(math.prod(shape[:axis]), 1)
                got = f"an array of {len(item)}" if isinstance(item, list) else json_kind(item)
                expected = f"an array of {length} at depth {axis + 1} of a {described(column)}"
                raise RequestInvalid(f"field {column.name!r}, row {row}: expected {expected}, got {got}")
        level = list(chain.from_iterable(level))
    return level


def _nested(row: list[Any]) -> bool:
    return bool(row) and isinstance(row[0], list)


def _whole_numbers(column: Column, flat: list[Any], allowed: frozenset[type], *, per_row: int) -> list[Any]:
    """Read 1.0 as an integer where one is expected, as plain columns do; refuse every other element of a wrong type."""
    whole = int in allowed and float not in allowed
    out = list(flat)
    for place, value in enumerate(flat):
        if whole and type(value) is float and value.is_integer():
            out[place] = int(value)
        elif type(value) not in allowed:
            where = f"field {column.name!r}, row {place // max(per_row, 1)}"
            expected = f"elements of type {column.dtype}"
            raise RequestInvalid(f"{where}: expected {expected}, got {json_kind(value)}")
    return out
