"""Which rows of a batch cannot be given to the model, found before it runs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.run.plan import Column
from lockstep.scoring.reasons import INEXACT, INVALID_UTF8, NULL_REFUSED, WRONG_LENGTH
from lockstep.scoring.signature import WITHOUT_NULL, Signature, described, widened


@dataclass(frozen=True)
class FittingRows:
    """The rows of a batch that can be given to a model.

    Attributes:
        batch: These rows, in the signature's own types.
        places: Where they were; None: all of them fit.
        reasons: Row to reason, of the others.
    """

    batch: pa.RecordBatch
    places: npt.NDArray[np.int64] | None
    reasons: dict[int, str]


def fitting_rows(chosen: pa.RecordBatch, signature: Signature) -> FittingRows:
    """Widen the rows that the signature's types can hold, and say why the others do not fit.

    Args:
        chosen: Selected columns of the signature (see `signature.select`).
        signature: What the model declares.
    """
    reasons = bad_rows(chosen, signature)
    fit, places = _without(chosen, reasons)
    try:
        return FittingRows(widened(fit, signature), places, reasons)
    except pa.ArrowInvalid:
        inexact = _inexact_rows(fit, signature)
        reasons |= {row if places is None else int(places[row]): reason for row, reason in inexact.items()}
        fit, places = _without(chosen, reasons)
        return FittingRows(widened(fit, signature), places, reasons)


def _without(batch: pa.RecordBatch, reasons: Mapping[int, str]) -> tuple[pa.RecordBatch, npt.NDArray[np.int64] | None]:
    if not reasons:
        return batch, None
    places = np.delete(np.arange(batch.num_rows), list(reasons))
    return batch.take(pa.array(places)), places


def _inexact_rows(batch: pa.RecordBatch, signature: Signature) -> dict[int, str]:
    """Find rows with a value that its wider type would change."""
    reasons: dict[int, str] = {}
    for place, (column, field) in enumerate(zip(signature.inputs, signature.schema, strict=True)):
        array = batch.column(place)
        if array.type == field.type:
            continue
        reason = INEXACT.format(column=column.name, got=array.type, dtype=described(column))
        one = Signature((column,), ())
        for row in _refused(pa.RecordBatch.from_arrays([array], names=[column.name]), one):
            reasons.setdefault(row, reason)
    return reasons


def _refused(batch: pa.RecordBatch, signature: Signature, *, first: int = 0) -> Iterator[int]:
    """Halve a batch of one column down to the rows that Arrow does not widen."""
    try:
        widened(batch, signature)
    except pa.ArrowInvalid:
        if batch.num_rows == 1:
            yield first
            return
        half = batch.num_rows // 2
        yield from _refused(batch.slice(0, half), signature, first=first)
        yield from _refused(batch.slice(half), signature, first=first + half)


def bad_rows(batch: pa.RecordBatch, signature: Signature) -> dict[int, str]:
    """Find rows with nulls that their type cannot hold, tensors of a wrong length, and text that is no UTF-8.

    Args:
        batch: Selected columns of the signature (see `signature.select`).
        signature: What the model declares.

    Returns:
        Row to reason, the first column in the signature's order that is wrong.
    """
    reasons: dict[int, str] = {}
    for place in signature.places_to_check:
        for row, reason in _bad_values(signature.inputs[place], batch.column(place)):
            reasons.setdefault(row, reason)
    return reasons


def _bad_values(column: Column, array: pa.Array) -> Iterator[tuple[int, str]]:
    refuses_null = column.required and (column.shape is not None or column.dtype in WITHOUT_NULL)
    if refuses_null and array.null_count:
        reason = NULL_REFUSED.format(column=column.name, dtype=described(column))
        yield from ((row, reason) for row in _rows(array.is_null()))
    if column.shape is not None and not pa.types.is_null(array.type):
        yield from _bad_tensors(column, array)
    elif column.dtype == "string" and not pa.types.is_dictionary(array.type) and not pa.types.is_null(array.type):
        reason = INVALID_UTF8.format(column=column.name)
        yield from ((row, reason) for row in _bad_texts(array))


def _bad_tensors(column: Column, array: pa.Array) -> Iterator[tuple[int, str]]:
    size = math.prod(column.shape or ())
    lengths = pc.list_value_length(array)
    wrong = pc.fill_null(pc.not_equal(lengths, size), fill_value=False)
    reason = WRONG_LENGTH.format(column=column.name, expected=size)
    yield from ((row, reason) for row in _rows(wrong))
    # Nulls inside: a float tensor takes them as NaN.
    if column.dtype in WITHOUT_NULL and array.flatten().null_count:
        parents = pc.filter(pc.list_parent_indices(array), pc.is_null(pc.list_flatten(array)))
        reason = NULL_REFUSED.format(column=column.name, dtype=described(column))
        yield from ((row, reason) for row in np.unique(parents.to_numpy()).tolist())
    if column.dtype == "string":
        bad = np.array(list(_bad_texts(pc.list_flatten(array))), np.int64)
        reason = INVALID_UTF8.format(column=column.name)
        yield from ((row, reason) for row in np.unique(pc.list_parent_indices(array).to_numpy()[bad]).tolist())


def _bad_texts(array: pa.Array) -> Iterator[int]:
    """Return the places of texts that are no UTF-8."""
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return  # nothing but nulls
    raw = array.cast(pa.large_binary() if pa.types.is_large_string(array.type) else pa.binary())
    try:
        raw.cast(array.type)  # checks UTF-8 at a gigabyte a second
    except pa.ArrowInvalid:
        for place, value in enumerate(raw.to_pylist()):
            if value is not None and not _is_utf8(value):
                yield place


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _rows(mask: pa.Array) -> list[int]:
    found: list[int] = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()
    return found


def readable(array: pa.Array) -> pa.Array:
    """Return a key column whose text is valid, so that the quarantine can be read whatever was wrong with a row."""
    if not pa.types.is_string(array.type):
        return array
    values = [
        None if value is None else value.decode("utf-8", "replace") for value in array.cast(pa.binary()).to_pylist()
    ]
    return pa.array(values, pa.string())
