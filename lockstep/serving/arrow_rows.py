"""Arrow batches of a request to the rows that other encodings of the same values make."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.errors import RequestInvalid
from lockstep.scoring.reasons import code_of
from lockstep.scoring.rows import bad_rows
from lockstep.scoring.signature import Signature, select, widened

WHERE = "the request"
# Reasons that no batch of the signature's schema can be built with; a null in a plain column is the Scorer's business.
UNFIT = frozenset({"wrong_length", "invalid_utf8"})


def text_bytes(array: pa.Array) -> int:
    """Return the bytes of a column's texts once they are written out, if they are in a dictionary; else 0."""
    if not pa.types.is_dictionary(array.type):
        return 0
    indices = array.indices.drop_null().to_numpy(zero_copy_only=False)
    lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy(zero_copy_only=False)
    return int(lengths.astype(np.int64)[indices].sum()) if len(indices) else 0


def fitted(batch: pa.RecordBatch, signature: Signature, *, first: int = 0) -> pa.RecordBatch:
    """Return a batch in the signature's schema.

    Args:
        batch: Columns whose types fit (see `lockstep.scoring.signature.fits`); texts may be in dictionaries.
        signature: What the model declares.
        first: Number of its first row, for errors.

    Raises:
        RequestInvalid: A row does not fit.
    """
    plain = [a.dictionary_decode() if pa.types.is_dictionary(a.type) else a for a in batch.columns]
    chosen = select(pa.RecordBatch.from_arrays(plain, names=batch.schema.names), signature, where=WHERE)
    for row, reason in bad_rows(chosen, signature).items():
        if code_of(reason) in UNFIT:
            raise RequestInvalid(f"row {first + row}: {reason.partition(': ')[2]}")
    for column, array in zip(signature.inputs, chosen.columns, strict=True):
        if column.shape is not None and array.null_count:
            row = first + int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
            raise RequestInvalid(f"field {column.name!r}, row {row}: expected a tensor, got null")
    try:
        wide = widened(chosen, signature)
    except pa.ArrowInvalid as error:
        problem = "a number or a time is more precise than its column's type"
        raise RequestInvalid(f"rows {first} to {first + batch.num_rows - 1}: {problem}") from error
    return pa.RecordBatch.from_arrays([_missing_as_in_json(array) for array in wide.columns], schema=signature.schema)


def _missing_as_in_json(array: pa.Array) -> pa.Array:
    """Return numbers with NaN as null, and tensors of floats with null as NaN."""
    if pa.types.is_floating(array.type):
        unknown = pc.is_nan(array)
        known = not pc.any(unknown).as_py()
        return array if known else pc.if_else(unknown, pa.scalar(None, array.type), array)
    if pa.types.is_fixed_size_list(array.type) and pa.types.is_floating(array.type.value_type):
        flat = array.flatten()
        if flat.null_count:
            filled = pc.fill_null(flat, pa.scalar(math.nan, flat.type))
            return pa.FixedSizeListArray.from_arrays(filled, array.type.list_size)
    return array
