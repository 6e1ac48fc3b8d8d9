"""JSON schemas of single values, by signature type and by tensor datatype."""

import math
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

from lockstep.run.plan import Column
from lockstep.scoring.signature import WITHOUT_NULL, described

Schema: TypeAlias = dict[str, Any]

# From where on, and below its negative, a number is nearer to infinity than to any of the datatype.
BEYOND = {"FP32": 2.0**128 - 2.0**103, "FP16": 65_520.0, "BF16": 2.0**128 - 2.0**119}
# Signature type -> the datatype whose range its values have.
RANGES = {
    "double": "FP64", "float": "FP32", "float16": "FP16", "integer": "INT32", "long": "INT64", "int16": "INT16",
    "int8": "INT8", "uint8": "UINT8",
}  # fmt: skip
MOMENT = "ISO 8601; a UTC offset is honoured, without one it is UTC"
EXAMPLES: dict[str, Any] = {"string": "text", "boolean": True, "datetime": "2013-08-01T05:15:00"}


def element_schema(dtype: str, *, datatype: str | None = None) -> Schema:
    """Describe a value that is there.

    Args:
        dtype: Signature type.
        datatype: Tensor datatype that it is sent as; none: the type's own.
    """
    if dtype == "string":
        return {"type": "string"}
    if dtype == "datetime":
        return {"type": "string", "format": "date-time", "description": MOMENT}
    if dtype == "boolean":
        return {"type": "boolean"}
    return _number(datatype or RANGES[dtype])


def _number(datatype: str) -> Schema:
    if datatype in BEYOND:
        return {"type": "number", "exclusiveMinimum": -BEYOND[datatype], "exclusiveMaximum": BEYOND[datatype]}
    if datatype == "FP64":
        return {"type": "number", "minimum": -sys.float_info.max, "maximum": sys.float_info.max}
    bits = int(datatype.removeprefix("U").removeprefix("INT"))
    if datatype.startswith("U"):
        return {"type": "integer", "minimum": 0, "maximum": 2**bits - 1}
    return {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}


def or_null(schema: Schema) -> Schema:
    """Let a value be missing."""
    return {"anyOf": [schema, {"type": "null"}]}


def nullable(column: Column) -> bool:
    """Whether a value (of a tensor: an element) may be missing: the type has a place for null, or need not be given."""
    if column.shape is not None:
        return column.dtype not in WITHOUT_NULL and column.dtype != "string"
    return column.dtype not in WITHOUT_NULL or not column.required


def cell_schema(column: Column) -> Schema:
    """Describe what a row of a request holds for a column."""
    element = element_schema(column.dtype)
    element = or_null(element) if nullable(column) else element
    if column.shape is None:
        return element
    nested = in_shape(element, column.shape)
    if len(column.shape) < 2:  # nested and flat are the same
        return nested
    return {"anyOf": [nested, in_shape(element, [math.prod(column.shape)])], "description": described(column)}


def answer_schema(column: Column) -> Schema:
    """Describe what a row of an answer holds for an output."""
    return in_shape(element_schema(column.dtype), column.shape or ())


def in_shape(element: Schema, shape: Sequence[int]) -> Schema:
    """Nest elements in arrays of fixed lengths."""
    for length in reversed(shape):
        element = {"type": "array", "items": element, "minItems": length, "maxItems": length}
    return element


def example(column: Column) -> Any:
    """Return a value that the column takes."""
    value = EXAMPLES.get(column.dtype, 1)
    for length in reversed(column.shape or ()):
        value = [value] * length
    return value
