"""Rows of two tables that have the same key, side by side."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import ComparisonImpossible

Codes = npt.NDArray[np.int64]
# Combinations that still fit into a code.
MOST_CODES = 1 << 62


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
    codes = _codes(one, other, key)
    mine, theirs = codes[: one.num_rows], codes[one.num_rows :]
    for part in (mine, theirs):
        if len(np.unique(part)) < len(part):
            raise ComparisonImpossible(unit, "a key repeats")
    _, places, other_places = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
    order = np.argsort(places, kind="stable")
    return one.take(pa.array(places[order])), other.take(pa.array(other_places[order]))


def _codes(one: pa.Table, other: pa.Table, key: Sequence[str]) -> Codes:
    """Return a number for each row of both tables, one after the other: equal keys have equal numbers, others not."""
    codes: Codes = np.zeros(one.num_rows + other.num_rows, dtype=np.int64)
    known = 1
    for name in key:
        chunks = [*one.column(name).chunks, *other.column(name).chunks]
        encoded = pa.chunked_array(chunks, type=one.column(name).type).combine_chunks()
        encoded = encoded.dictionary_encode(null_encoding="encode")
        values = max(len(encoded.dictionary), 1)
        if known * values > MOST_CODES:
            found, codes = np.unique(codes, return_inverse=True)
            known = len(found)
        codes = codes * values + encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        known *= values
    return codes
