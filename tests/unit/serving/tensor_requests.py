"""The same tensors as JSON and as raw bytes: strategies for every column type, and an encoder to check with."""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.rows import Rows, to_batch
from lockstep.serving.tensors import DATATYPES
from tests.unit.serving.toy import INPUTS, OUTPUTS

TENSORS = (
    Column(name="picture", dtype="float", shape=(2, 3)),
    Column(name="halves", dtype="float16", shape=(2,)),
    Column(name="wide", dtype="double", shape=(1,)),
    Column(name="codes", dtype="uint8", shape=(3,)),
    Column(name="steps", dtype="int16", shape=(2,)),
    Column(name="flags", dtype="boolean", shape=(2,)),
    Column(name="words", dtype="string", shape=(2,)),
)
ALL_TYPES = Signature((*INPUTS, *TENSORS), OUTPUTS)

# How each element is packed; BF16 is the upper half of a float.
FORMATS = {
    "BOOL": "<?", "FP16": "<e", "FP32": "<f", "FP64": "<d", "INT8": "<b", "INT16": "<h", "INT32": "<i", "INT64": "<q",
    "UINT8": "<B", "UINT16": "<H", "UINT32": "<I", "UINT64": "<Q",
}  # fmt: skip
FLOATS = {"FP16": 16, "BF16": 32, "FP32": 32, "FP64": 64}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TIMES = st.sampled_from(["2013-08-01T05:15:00", "2013-08-01 05:15:00.25+02:00", "20130801", "1969-12-31"])


@dataclass(frozen=True)
class Sent:
    """One input tensor.

    Attributes:
        values: Flat, as plain Python values.
    """

    column: Column
    datatype: str
    rows: int
    values: list[Any]

    @property
    def shape(self) -> list[int]:
        return [self.rows, *(self.column.shape or ())]

    @property
    def raw(self) -> bytes:
        return b"".join(packed(value, self.datatype) for value in self.values)

    def head(self) -> dict[str, Any]:
        return {"name": self.column.name, "datatype": self.datatype, "shape": self.shape}

    def as_json(self) -> dict[str, Any]:
        return {**self.head(), "data": self.values}

    def as_binary(self) -> dict[str, Any]:
        return {**self.head(), "parameters": {"binary_data_size": len(self.raw)}}


def packed(value: Any, datatype: str) -> bytes:
    """Pack one element, with the standard library alone."""
    if datatype == "BYTES":
        text = value.encode()
        return struct.pack("<I", len(text)) + text
    if datatype == "BF16":
        return struct.pack("<f", value)[2:]
    return struct.pack(FORMATS[datatype], value)


def elements(column: Column, datatype: str) -> st.SearchStrategy[Any]:
    """Values that the datatype holds exactly and the column takes."""
    if datatype == "BYTES":
        return TIMES if column.dtype == "datetime" else TEXTS
    if datatype == "BOOL":
        return st.booleans()
    if datatype == "BF16":
        return st.integers(0, 2**16 - 1).map(lambda bits: struct.unpack("<f", struct.pack("<I", bits << 16))[0])
    if datatype in FLOATS:
        return st.floats(width=FLOATS[datatype])
    bits, signed = int(datatype.removeprefix("U").removeprefix("INT")), datatype.startswith("INT")
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


@st.composite
def tensors(draw: st.DrawFn, signature: Signature = ALL_TYPES) -> list[Sent]:
    """Draw an input tensor for every column; few rows, or so many that they become Arrow arrays at once."""
    rows = draw(st.one_of(st.integers(0, 3), st.integers(63, 66)))
    found = []
    for column in signature.inputs:
        if not column.required and draw(st.booleans()):
            continue
        datatype = draw(st.sampled_from(DATATYPES[column.dtype]))
        # A few values in turn: what matters is each value and the number of rows, not their mixture.
        few = draw(st.lists(elements(column, datatype), min_size=1, max_size=7))
        count = rows * math.prod(column.shape or ())
        found.append(Sent(column, datatype, rows, [few[place % len(few)] for place in range(count)]))
    return found


def json_request(sent: Sequence[Sent], **fields: Any) -> bytes:
    return json.dumps({"inputs": [tensor.as_json() for tensor in sent], **fields}).encode()


def binary_request(sent: Sequence[Sent], binary: Sequence[bool] | None = None, **fields: Any) -> tuple[bytes, int]:
    """Return a body and the length of its JSON; `binary` says which tensors are."""
    chosen = list(zip(sent, binary or [True] * len(sent), strict=True))
    inputs = [tensor.as_binary() if apart else tensor.as_json() for tensor, apart in chosen]
    head = json.dumps({"inputs": inputs, **fields}).encode()
    return head + b"".join(tensor.raw for tensor, apart in chosen if apart), len(head)


def same_rows(one: Rows, other: Rows, signature: Signature) -> bool:
    """Whether rows make the same batch, bit by bit; a NaN in a tensor has one form, whatever its payload was."""
    first, second = (to_batch([rows], signature) for rows in (one, other))
    return first.schema == second.schema and all(
        _bits(a) == _bits(b) for a, b in zip(first.columns, second.columns, strict=True)
    )


def _bits(array: pa.Array) -> tuple[Any, ...]:
    if not pa.types.is_fixed_size_list(array.type):
        known = array.drop_null()
        floating = pa.types.is_floating(array.type)
        return (array.is_null().to_pylist(), known.to_numpy().tobytes() if floating else known.to_pylist())
    flat = array.flatten()
    if not pa.types.is_floating(flat.type):
        return (len(array), flat.to_pylist())
    numbers = flat.to_numpy(zero_copy_only=False).copy()
    numbers[np.isnan(numbers)] = np.nan
    return (len(array), numbers.tobytes())
