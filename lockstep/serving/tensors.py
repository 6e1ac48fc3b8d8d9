"""Open Inference Protocol V2 tensors: which datatypes and shapes stand for a model's columns, however they are sent.

Every input column of the model is one tensor of shape [rows] or [rows, 1], or [rows, ...] where the column is a tensor
itself; the outputs likewise.
"""

import math
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Arrays
from lockstep.scoring.signature import Signature, described
from lockstep.serving.columns import Misfit
from lockstep.serving.json_body import json_kind

# Signature type -> the tensor datatype in the metadata, then the others that widen to it without loss.
SMALL_INTEGERS = ("INT16", "INT8", "UINT16", "UINT8")
DATATYPES: dict[str, tuple[str, ...]] = {
    "string": ("BYTES",),
    "double": ("FP64", "FP32", "FP16", "BF16", "INT64", "INT32", "UINT64", "UINT32", *SMALL_INTEGERS),
    "float": ("FP32", "FP16", "BF16", *SMALL_INTEGERS),
    "integer": ("INT32", *SMALL_INTEGERS),
    "long": ("INT64", "INT32", "UINT32", *SMALL_INTEGERS),
    "boolean": ("BOOL",),
    "datetime": ("BYTES",),
    # Of tensors alone: element types that no plain column has.
    "float16": ("FP16",),
    "uint8": ("UINT8",),
    "int8": ("INT8",),
    "int16": ("INT16", "INT8", "UINT8"),
}
MOST_ROWS = 2**63
# Datatypes whose values are rounded or bounded before they widen.
NARROW: dict[str, pa.DataType] = {
    "FP16": pa.float16(), "FP32": pa.float32(), "INT8": pa.int8(), "INT16": pa.int16(), "INT32": pa.int32(),
    "INT64": pa.int64(), "UINT8": pa.uint8(), "UINT16": pa.uint16(), "UINT32": pa.uint32(), "UINT64": pa.uint64(),
}  # fmt: skip


# Of BF16: bits of a number, exponent of the smallest number, and where its range ends.
BF16_BITS, BF16_STEP, BF16_END = 8, -133, 2.0**128


def declared_rows(column: Column, datatype: object, shape: object) -> int:
    """Check the datatype and the shape of an input tensor; return its rows.

    Raises:
        RequestInvalid: They are not those of the column.
    """
    allowed = DATATYPES[column.dtype]
    if datatype not in allowed:
        expected = f"the datatype does not fit; expected {' or '.join(allowed)}"
        raise RequestInvalid(f"input {column.name!r}: {expected}")
    sizes = shape if isinstance(shape, list) else None
    if sizes and len(sizes) == 1 and column.shape is None and type(sizes[0]) is int and 0 <= sizes[0] < MOST_ROWS:
        return int(sizes[0])  # nearly always
    whole = sizes is not None and all(type(n) is int and 0 <= n < MOST_ROWS for n in sizes)
    if not whole or not sizes or not _fits_shape(sizes[1:], column):
        raise RequestInvalid(f"input {column.name!r}: shape must be {_shapes(column)}")
    return int(sizes[0])


def _fits_shape(rest: list[int], column: Column) -> bool:
    if column.shape is None:
        return rest in ([], [1])
    return rest == list(column.shape)


def _shapes(column: Column) -> str:
    if column.shape is None:
        return "[rows] or [rows, 1]"
    return f"[rows, {', '.join(map(str, column.shape))}], because the column is a {described(column)}"


def input_column(signature: Signature, name: object, *, index: int, given: Container[str]) -> Column:
    """Return the column that an input tensor is for.

    Args:
        signature: Of the model.
        name: Of the tensor.
        index: Place of the tensor in the request, for the error.
        given: Names of the tensors before it.

    Raises:
        RequestInvalid: The model has no such input, or it is given already.
    """
    if not isinstance(name, str):
        raise RequestInvalid(f"inputs[{index}] must be an object with name, shape, datatype and data")
    column = signature.inputs_by_name.get(name)
    if column is None:
        raise RequestInvalid(f"inputs[{index}]: the model has no input of that name; GET the model's metadata")
    if name in given:
        raise RequestInvalid(f"input {name!r} is given twice")
    return column


def narrowed(values: list[Any], datatype: str, *, name: str) -> list[Any]:
    """Read values as the narrower type they were sent as, so that 0.1 as FP32 is the float32 nearest to 0.1.

    Raises:
        RequestInvalid: A value is not of the datatype; names the row.
    """
    if datatype == "BF16":
        return _read_each(values, _upper_half, datatype=datatype, name=name)
    narrow = NARROW.get(datatype)
    if narrow is None:
        return values
    plain = {float, int, type(None)} if pa.types.is_floating(narrow) else {int, type(None)}
    if plain.issuperset(map(type, values)):
        try:
            read: list[Any] = pa.array(values, narrow).to_pylist()
        except (pa.ArrowInvalid, OverflowError):
            pass  # a value out of range: read one by one, to say which
        else:
            if math.inf not in read and -math.inf not in read:
                return read
    return _read_each(values, partial(_narrowed_one, narrow=narrow), datatype=datatype, name=name)


def _read_each(values: list[Any], read: Callable[[Any], Any], *, datatype: str, name: str) -> list[Any]:
    out: list[Any] = []
    for row, value in enumerate(values):
        try:
            out.append(read(value))
        except Misfit as error:
            raise RequestInvalid(f"input {name!r}, row {row}: expected {datatype} or null, got {error}") from error
    return out


def _narrowed_one(value: Any, narrow: pa.DataType) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit(json_kind(value))
    floating = pa.types.is_floating(narrow)
    if not floating and isinstance(value, float) and math.isfinite(value) and not value.is_integer():
        raise Misfit("a number with a fraction")
    try:
        read = pa.scalar(float(value) if floating else int(value), narrow).as_py()
    except (pa.ArrowInvalid, OverflowError) as error:
        raise Misfit("a number out of range") from error
    if floating and math.isinf(read) and not math.isinf(value):
        raise Misfit("a number out of range")
    return read


def _upper_half(value: Any) -> float | None:
    """Round to the nearest BF16, ties to the even one: eight bits, and no smaller step than that of its smallest."""
    number: float | None = _narrowed_one(value, pa.float64())
    if number is None or not math.isfinite(number):
        return number
    step = max(math.frexp(number)[1] - BF16_BITS, BF16_STEP)
    rounded = math.copysign(math.ldexp(round(math.ldexp(number, -step)), step), number)
    if abs(rounded) >= BF16_END:
        raise Misfit("a number out of range")
    return rounded


def in_rows(values: list[Any], column: Column) -> list[Any]:
    """Group the flat elements of a tensor column by row; the values of a plain column are its rows."""
    if column.shape is None:
        return values
    size = math.prod(column.shape)
    return [values[start : start + size] for start in range(0, len(values), size)] if size else []


def datatype_of(column: Column) -> str:
    """Return the datatype of a column's elements, as the metadata has it."""
    return DATATYPES[column.dtype][0]


def requested_outputs(names: Sequence[object], signature: Signature) -> tuple[str, ...]:
    """Check the names of requested outputs.

    Raises:
        RequestInvalid: The model has no such output, or one is asked for twice.
    """
    known = [output.name for output in signature.outputs]
    for index, name in enumerate(names):
        if name not in known:
            raise RequestInvalid(f"outputs[{index}]: the model has no such output; it has {', '.join(known)}")
    if len(set(names)) < len(names):
        raise RequestInvalid("outputs: an output is requested twice")
    return tuple(str(name) for name in names)


def chosen_outputs(
    identity: ModelIdentity, wanted: Sequence[str], outputs: Arrays
) -> list[tuple[Column, npt.NDArray[Any]]]:
    """Pair the wanted outputs (all, when none is named) with their arrays, in the order they were asked for."""
    pairs = {column.name: (column, array) for column, array in zip(identity.outputs, outputs, strict=True)}
    return [pairs[name] for name in wanted] if wanted else list(pairs.values())


def flat_list(array: npt.NDArray[np.generic]) -> list[Any]:
    """Return the elements in row order as plain Python values."""
    return array.reshape(-1).tolist()


def model_metadata(identity: ModelIdentity, versions: Sequence[int]) -> dict[str, Any]:
    """Return the body of `GET /v2/models/M`.

    Args:
        identity: Of the version that is described.
        versions: All versions of the model that are served here.
    """
    return {
        "name": identity.name,
        "versions": [str(version) for version in versions],
        "platform": "mlflow",
        "inputs": [_declared(column) for column in identity.inputs],
        "outputs": [_declared(output) for output in identity.outputs],
        "properties": {"digest": identity.digest, **({"alias": identity.alias} if identity.alias else {})},
    }


def _declared(column: Column) -> dict[str, Any]:
    return {"name": column.name, "datatype": datatype_of(column), "shape": [-1, *(column.shape or ())]}
