"""How the row of a key lies in an online store: a few bytes that give back every value to the bit.

A row is a record of fixed size (who made it, which columns are null, the numbers), then its texts, each with its
length before it. The columns are those of the load, which keeps their types.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAKER, NULLS = "maker", "nulls"
MOST_MAKERS = 2**16
LENGTH = struct.Struct("<I")
Bits = npt.NDArray[np.bool_]
Makers = npt.NDArray[np.uint16]
# Types of Arrow that lie in memory as another type of NumPy's.
STORED_AS = ((pa.types.is_date32, np.dtype("<i4")), (pa.types.is_timestamp, np.dtype("<i8")))


class ColumnUnsupported(ValueError):
    """A column of a type that an online store cannot keep."""

    def __init__(self, name: str, *, kind: str) -> None:
        super().__init__(f"column {name!r} is {kind}, which an online store cannot keep")


@dataclass(frozen=True)
class RowFormat:
    """The bytes of rows with these columns."""

    schema: pa.Schema

    def __post_init__(self) -> None:
        """Raise `ColumnUnsupported` for a type that cannot be kept."""
        for field in self.schema:
            if not _is_text(field.type) and _element(field.type) is None:
                raise ColumnUnsupported(field.name, kind=str(field.type))

    @cached_property
    def record(self) -> np.dtype[np.void]:
        """The part of fixed size."""
        fields: list[Any] = [(MAKER, "<u2"), (NULLS, "u1", (math.ceil(len(self.schema) / 8),))]
        for place, field in enumerate(self.schema):
            if not _is_text(field.type):
                width = (field.type.list_size,) if pa.types.is_fixed_size_list(field.type) else ()
                fields.append((f"c{place}", _element(field.type), width))
        return np.dtype(fields)

    @cached_property
    def texts(self) -> tuple[int, ...]:
        """Places of the columns of text."""
        return tuple(place for place, field in enumerate(self.schema) if _is_text(field.type))

    def encode(self, columns: Sequence[pa.Array], makers: Makers) -> list[bytes]:
        """Return the bytes of each row.

        Args:
            columns: The columns of the schema.
            makers: Who made each row, `(rows,) uint16`, places in a list that the load keeps.
        """
        rows = len(makers)
        records = np.zeros(rows, self.record)
        records[MAKER] = makers
        nulls = np.zeros((rows, len(self.schema)), np.bool_)
        for place, values in enumerate(columns):
            if values.null_count:
                nulls[:, place] = values.is_null().to_numpy(zero_copy_only=False)
            if place not in self.texts:
                records[f"c{place}"] = _numbers(values)
        if len(self.schema):
            records[NULLS] = np.packbits(nulls, axis=1, bitorder="little")
        data, size = records.tobytes(), self.record.itemsize
        fixed = [data[start : start + size] for start in range(0, rows * size, size)]
        if not self.texts:
            return fixed
        tails = zip(*(_tails(columns[place]) for place in self.texts), strict=True)
        return [b"".join((head, *tail)) for head, tail in zip(fixed, tails, strict=True)]

    def decode(self, rows: Sequence[bytes]) -> tuple[pa.RecordBatch, Makers]:
        """Return the columns of rows, and who made each."""
        size = self.record.itemsize
        data = b"".join(rows) if not self.texts else b"".join(row[:size] for row in rows)
        records = np.frombuffer(data, self.record)
        nulls = np.unpackbits(records[NULLS], axis=1, bitorder="little", count=len(self.schema)).view(np.bool_)
        tails = self._text_columns(rows)
        arrays = [
            _texts(field.type, tails[place], nulls[:, place])
            if place in tails
            else _array(field.type, records[f"c{place}"], nulls[:, place])
            for place, field in enumerate(self.schema)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema), records[MAKER]

    def _text_columns(self, rows: Sequence[bytes]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {place: [] for place in self.texts}
        for row in rows if self.texts else ():
            at = self.record.itemsize
            for values in found.values():
                (length,) = LENGTH.unpack_from(row, at)
                values.append(row[at + LENGTH.size : at + LENGTH.size + length].decode())
                at += LENGTH.size + length
        return found


def plain(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array, without a dictionary."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _element(kind: pa.DataType) -> np.dtype[Any] | None:
    """Return the NumPy type of a value, or of an element of a list of fixed size; none: it is not kept."""
    if pa.types.is_fixed_size_list(kind):
        inner = kind.value_type
        return _element(inner) if pa.types.is_integer(inner) or pa.types.is_floating(inner) else None
    if pa.types.is_boolean(kind):
        return np.dtype(np.bool_)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        number: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        return number.newbyteorder("<")
    return next((stored for test, stored in STORED_AS if test(kind)), None)


def _numbers(values: pa.Array) -> npt.NDArray[Any]:
    kind = values.type
    if pa.types.is_fixed_size_list(kind):
        if values.null_count or values.flatten().null_count:
            raise ValueError("a list of numbers, or a number in it, is null")
        return _numbers(values.flatten()).reshape(len(values), kind.list_size)
    if pa.types.is_date32(kind):
        values = values.cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        values = values.cast(pa.int64())
    if values.null_count:
        zero: Any = False if pa.types.is_boolean(kind) else pa.scalar(0, pa.int8()).cast(values.type)
        values = values.fill_null(zero)
    found: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return found


def _tails(values: pa.Array) -> list[bytes]:
    texts = [(text or "").encode() for text in values.to_pylist()]
    return [LENGTH.pack(len(text)) + text for text in texts]


def _texts(kind: pa.DataType, values: list[str], nulls: Bits) -> pa.Array:
    return pa.array(values, kind, mask=nulls)


def _array(kind: pa.DataType, values: npt.NDArray[Any], nulls: Bits) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    mask = nulls if nulls.any() else None
    if pa.types.is_date32(kind) or pa.types.is_timestamp(kind):
        return pa.array(np.ascontiguousarray(values), mask=mask).cast(kind)
    return pa.array(np.ascontiguousarray(values), kind, mask=mask)
