"""The rows of requests: checked values that can no longer fail to become a batch, and many requests' rows as one.

A request is checked alone and turned into Arrow together with others: building 20 columns costs about as much for one
row as for a hundred.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.scoring.signature import ARROW_TYPES, Signature

# About what a value of a plain column weighs in a request; for bounds, not for accounting.
VALUE_BYTES = 16

Values = list[Any] | tuple[Any, ...] | npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Checked values by column, in the signature's order.

    Attributes:
        columns: Of a plain column the values, null or NaN for missing, of Python types that Arrow reads as the column's
            type; of a tensor column its `(rows, *shape)` array.
        num_rows: Rows.
        nbytes: About how much memory the values take.
    """

    columns: tuple[Values, ...]
    num_rows: int
    nbytes: int


Rows: TypeAlias = PlainRows | pa.RecordBatch


def to_batch(parts: Sequence[Rows], signature: Signature) -> pa.RecordBatch:
    """Put the rows of several requests into one batch of the signature's schema.

    Args:
        parts: Rows of each request.
        signature: What they were checked against.

    Returns:
        The rows in the order of the parts.
    """
    rows = merged(parts, signature)
    return _built(rows.columns, rows.num_rows, signature) if isinstance(rows, PlainRows) else rows


def merged(parts: Sequence[Rows], signature: Signature) -> Rows:
    """Put the rows of several requests together: plain ones stay plain; see `to_batch`."""
    if len(parts) == 1:
        return parts[0]
    plain = [part for part in parts if isinstance(part, PlainRows)]
    if len(plain) == len(parts):
        columns = tuple(_joined(column) for column in zip(*(part.columns for part in plain), strict=True))
        return PlainRows(columns, sum(part.num_rows for part in plain), sum(part.nbytes for part in plain))
    return pa.concat_batches([to_batch([part], signature) for part in parts])


def slice_rows(rows: Rows, start: int, count: int) -> Rows:
    """Return `count` rows from `start` on, or as many as there are."""
    if not isinstance(rows, PlainRows):
        return rows.slice(start, count)
    if start == 0 and count >= rows.num_rows:
        return rows
    stop = min(start + count, rows.num_rows)
    columns = tuple(column[start:stop] for column in rows.columns)
    return PlainRows(columns, stop - start, rows.nbytes * (stop - start) // rows.num_rows)


def empty_rows(signature: Signature) -> pa.RecordBatch:
    """Return a batch of the signature's schema without rows."""
    schema = signature.schema
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def _joined(columns: tuple[Values, ...]) -> Values:
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    return list(chain.from_iterable(columns))


def _built(columns: tuple[Values, ...], rows: int, signature: Signature) -> pa.RecordBatch:
    """Build a batch; columns of one type are read together, which costs less than each by itself."""
    arrays: list[pa.Array | None] = [None] * len(columns)
    for dtype, places in signature.plain_places.items():
        if len(places) == 1:
            arrays[places[0]] = pa.array(columns[places[0]], ARROW_TYPES[dtype], from_pandas=True)
            continue
        together = list(chain.from_iterable(columns[place] for place in places))
        flat = pa.array(together, ARROW_TYPES[dtype], from_pandas=True)
        for number, place in enumerate(places):
            arrays[place] = flat.slice(number * rows, rows)
    for place, column in enumerate(columns):
        if arrays[place] is None:
            arrays[place] = _tensor_array(np.asarray(column), signature.schema.field(place).type)
    return pa.RecordBatch.from_arrays(arrays, schema=signature.schema)


def _tensor_array(values: npt.NDArray[Any], kind: pa.FixedSizeListType) -> pa.Array:
    flat = values.reshape(-1)
    elements = pa.array(flat.tolist() if flat.dtype.hasobject else flat, kind.value_type)
    return pa.FixedSizeListArray.from_arrays(elements, math.prod(values.shape[1:]))
