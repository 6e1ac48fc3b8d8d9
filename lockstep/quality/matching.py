"""Rows of two tables that have the same key, side by side."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import ComparisonImpossible

Codes = npt.NDArray[np.int64]
# Numbers are made dense when there may be so many for each row; a product of two columns' values then still fits.
SPARSE = 8


def matched(one: pa.Table, other: pa.Table, *, key: Sequence[str], unit: str) -> tuple[pa.Table, pa.Table]:
    """Return the rows of two tables whose key both have, in the same order.

    Tables that have the same keys in the same order, as is usual, come back as they are.

    Args:
        one: Some rows.
        other: Other rows.
        key: Columns of both that name a row; nulls are equal to each other.
        unit: What the rows are, for messages.

    Raises:
        ComparisonImpossible: A key repeats, so that it does not name a row.
    """
    if all(one.column(name).equals(other.column(name)) for name in key):
        return one, other
    codes, size = _codes(one, other, key)
    mine, theirs = codes[: one.num_rows], codes[one.num_rows :]
    for part in (mine, theirs):
        if len(part) and np.bincount(part, minlength=size).max() > 1:
            raise ComparisonImpossible(unit, "a key repeats")
    row_of = np.full(size, -1, dtype=np.int64)
    row_of[theirs] = np.arange(len(theirs))
    rows = row_of[mine]
    return one.filter(pa.array(rows >= 0)), other.take(pa.array(rows[rows >= 0]))


def _codes(one: pa.Table, other: pa.Table, key: Sequence[str]) -> tuple[Codes, int]:
    """Return a number for each row of both tables, one after the other, and a bound of them.

    Equal keys have equal numbers, and others not; the bound is not much above the number of rows.
    """
    codes: Codes = np.zeros(one.num_rows + other.num_rows, dtype=np.int64)
    known = 1
    for name in key:
        chunks = [*one.column(name).chunks, *other.column(name).chunks]
        encoded = pa.chunked_array(chunks, type=one.column(name).type).combine_chunks()
        encoded = encoded.dictionary_encode(null_encoding="encode")
        values = max(len(encoded.dictionary), 1)
        codes = codes * values + encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        known *= values
        if known > SPARSE * len(codes):
            found, codes = np.unique(codes, return_inverse=True)
            known = len(found)
    return codes, known
