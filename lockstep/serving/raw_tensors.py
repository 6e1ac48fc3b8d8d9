"""Tensors as raw bytes, as the binary extension and gRPC send them, to columns; and outputs to raw bytes.

Bytes are little-endian, in row order and without gaps. A text is its length in four bytes and then its UTF-8, so that
there is no raw null: a missing number is NaN, and a missing text can only be sent as JSON.
"""

import functools
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.outputs import numpy_dtype
from lockstep.serving.rows import Values

Numbers = npt.NDArray[Any]

# BF16 is the upper half of an FP32, which NumPy has no type for.
CODES = {
    "BOOL": "u1", "BF16": "<u2", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip
ELEMENTS: dict[str, np.dtype[Any]] = {datatype: np.dtype(code) for datatype, code in CODES.items()}
# As the standard library packs them, which for a few values is faster than an array.
PACKED = {
    "FP16": "e", "FP32": "f", "FP64": "d", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
}  # fmt: skip
LENGTH = struct.Struct("<I")
# What Arrow's 32-bit offsets can address.
TEXT_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RawTexts:
    """The elements of a BYTES tensor, still in the request's own bytes.

    Attributes:
        data: Lengths and texts.
        bounds: 0, then of each element where its text starts and ends.
    """

    data: memoryview
    bounds: list[int]


def read_elements(raw: memoryview, datatype: str, count: int, *, name: str) -> Numbers | RawTexts:
    """Read the elements of a raw tensor; numbers without a copy, where their place in the body allows it.

    Args:
        raw: All of its bytes.
        datatype: As declared; one that fits the column.
        count: Elements that its shape declares.
        name: Of the tensor, for errors.

    Raises:
        RequestInvalid: The bytes are not that many elements.
    """
    if datatype == "BYTES":
        return _read_texts(raw, count, name=name)
    dtype = ELEMENTS[datatype]
    if len(raw) != count * dtype.itemsize:
        raise _wrong_size(datatype, count, len(raw), name=name)
    values = np.frombuffer(raw, dtype)
    if not values.flags.aligned:
        values = values.copy()
    if datatype == "BF16":
        return (values.astype("<u4") << 16).view("<f4")
    return _truths(values, name=name) if datatype == "BOOL" else values


def read_few(raw: memoryview, datatype: str, count: int, *, name: str) -> list[Any]:
    """Read the elements of a small raw tensor as plain values; see `read_elements`."""
    packed = PACKED.get(datatype)
    if packed is None:
        elements = read_elements(raw, datatype, count, name=name)
        return text_list(elements, name=name) if isinstance(elements, RawTexts) else elements.tolist()
    form = _form(packed, count)
    if len(raw) != form.size:
        raise _wrong_size(datatype, count, len(raw), name=name)
    return list(form.unpack(raw))


@functools.lru_cache(maxsize=1024)
def _form(packed: str, count: int) -> struct.Struct:
    return struct.Struct(f"<{count}{packed}")


def _wrong_size(datatype: str, count: int, got: int, *, name: str) -> RequestInvalid:
    expected = f"the shape declares {count} values of {datatype}, which are {count * ELEMENTS[datatype].itemsize} bytes"
    return RequestInvalid(f"input {name!r}: {expected}; got {got} bytes")


def _truths(values: Numbers, *, name: str) -> Numbers:
    if len(values) and values.max() > 1:
        place = int(np.flatnonzero(values > 1)[0])
        raise RequestInvalid(f"input {name!r}, value {place}: expected BOOL, got a byte that is neither 0 nor 1")
    return values.view(np.bool_)


def _read_texts(raw: memoryview, count: int, *, name: str) -> RawTexts:
    """Follow the lengths through the bytes: one step for each element, and no copy."""
    size = len(raw)
    if count * LENGTH.size > size or size > TEXT_BYTES:
        most = f"at least {count * LENGTH.size} bytes" if size <= TEXT_BYTES else f"at most {TEXT_BYTES} bytes"
        raise RequestInvalid(f"input {name!r}: the shape declares {count} values of BYTES, {most}; got {size} bytes")
    bounds, position, length = [0], 0, LENGTH.unpack_from
    for place in range(count):
        start = position + LENGTH.size
        if start > size:
            raise RequestInvalid(f"input {name!r}, value {place}: its length is beyond the end of the data")
        position = start + length(raw, position)[0]
        bounds += (start, position)
        if position > size:
            raise RequestInvalid(f"input {name!r}, value {place}: it ends beyond the end of the data")
    if position != size:
        raise RequestInvalid(f"input {name!r}: {size - position} bytes are left after {count} values of BYTES")
    return RawTexts(raw, bounds)


def text_list(texts: RawTexts, *, name: str) -> list[str]:
    """Return the texts of a BYTES tensor.

    Raises:
        RequestInvalid: One is not UTF-8.
    """
    bounds, data, out = texts.bounds, texts.data, list[str]()
    for place in range(1, len(bounds), 2):
        try:
            out.append(str(data[bounds[place] : bounds[place + 1]], "utf-8"))
        except UnicodeDecodeError as error:
            got = "a string that is not valid Unicode"
            raise RequestInvalid(f"input {name!r}, value {place // 2}: expected UTF-8, got {got}") from error
    return out


def text_array(texts: RawTexts, *, name: str) -> pa.StringArray:
    """Return the texts of a BYTES tensor as Arrow has them, without an object for each.

    Raises:
        RequestInvalid: One is not UTF-8.
    """
    # Lengths and texts take turns; every second element of this array is a text.
    bounds = pa.py_buffer(np.array(texts.bounds, dtype=np.int32))
    both = pa.Array.from_buffers(pa.binary(), len(texts.bounds) - 1, [None, bounds, pa.py_buffer(texts.data)])
    try:
        return both.take(pa.array(np.arange(1, len(both), 2))).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(text_list(texts, name=name), pa.string())  # says which


def as_values(elements: Numbers | RawTexts, column: Column) -> Values:
    """Return elements as values for `build_rows`: plain ones as a list, those of a tensor as its array."""
    if isinstance(elements, RawTexts):
        texts = text_list(elements, name=column.name)
        return texts if column.shape is None else shaped(np.array(texts, dtype=object), column)
    return elements.tolist() if column.shape is None else shaped(elements, column)


def shaped(elements: Numbers, column: Column) -> Numbers:
    """Return flat elements as the `(rows, *shape)` array of a tensor column, of its dtype."""
    shape = column.shape or ()
    size = math.prod(shape)
    return widened(elements, column).reshape(len(elements) // size if size else 0, *shape)


def widened(elements: Numbers, column: Column) -> Numbers:
    """Return numbers as the column's dtype; the datatype fits it, so that no value leaves its range."""
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return elements.astype(numpy_dtype(column), copy=False)


def raw_bytes(array: npt.NDArray[Any]) -> bytes:
    """Return the elements of an output as raw bytes of its datatype."""
    if array.dtype.kind in "OUM":
        texts = text_elements(array)
        return b"".join(part for text in texts for part in (LENGTH.pack(len(text)), text))
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def text_elements(array: npt.NDArray[Any]) -> list[bytes]:
    """Return the elements of a BYTES output: texts, or times in ISO form as JSON has them."""
    values = array.reshape(-1).tolist()
    return [(value if isinstance(value, str) else value.isoformat()).encode() for value in values]
