"""Input tensors that came as raw bytes, or partly so, to rows of the signature.

A few rows become plain values, which merge with those of other requests; many become Arrow arrays column by column,
without an object for each value. Either way a value means what it means in JSON.
"""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature, arrow_type
from lockstep.serving.columns import read_column, require
from lockstep.serving.infer_json import rows_of
from lockstep.serving.raw_tensors import Numbers, RawTexts, as_values, read_elements, text_array, widened
from lockstep.serving.rows import PlainRows, Rows, Values, to_batch
from lockstep.serving.tensors import declared_rows

# Up to here one more object for each value costs less than an Arrow array for each column.
PLAIN_ROWS = 64

Given = Values | RawTexts


def raw_column(raw: memoryview, column: Column, *, datatype: object, shape: object) -> Given:
    """Read a raw input tensor.

    Raises:
        RequestInvalid: Datatype, shape and bytes do not fit each other or the column.
    """
    count = declared_rows(column, datatype, shape) * math.prod(column.shape or ())
    return read_elements(raw, str(datatype), count, name=column.name)


def rows_of_raw(columns: Mapping[str, Given], signature: Signature) -> Rows:
    """Return the rows of input tensors, raw ones and others.

    Args:
        columns: By input name: of a raw tensor what `raw_column` returned, of another what `build_rows` takes.
        signature: What the model declares.

    Raises:
        RequestInvalid: Columns are missing, differ in length, or hold values of another type.
    """
    lengths = {name: _rows_in(given, signature.inputs_by_name[name]) for name, given in columns.items()}
    rows = max(lengths.values(), default=0)
    if rows <= PLAIN_ROWS:
        plain = {name: _values(given, signature.inputs_by_name[name]) for name, given in columns.items()}
        return rows_of(plain, signature)
    require(columns.keys(), signature)
    for name, length in lengths.items():
        if length != rows:
            other = next(o for o in lengths if lengths[o] == rows)
            raise RequestInvalid(f"columns differ in length: {name!r} has {length} values, {other!r} has {rows}")
    arrays = [
        _array(columns[column.name], column) if column.name in columns else pa.nulls(rows, arrow_type(column))
        for column in signature.inputs
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=signature.schema)


def _rows_in(given: Given, column: Column) -> int:
    if isinstance(given, list | tuple):
        return len(given)
    size = math.prod(column.shape or ())
    elements = len(given.bounds) // 2 if isinstance(given, RawTexts) else len(given)
    return elements // size if size else 0


def _values(given: Given, column: Column) -> Values:
    return as_values(given, column) if isinstance(given, np.ndarray | RawTexts) else given


def _array(given: Given, column: Column) -> pa.Array:
    if column.shape is None and isinstance(given, np.ndarray):
        return _number_array(given, column)
    if column.shape is None and column.dtype == "string" and isinstance(given, RawTexts):
        return text_array(given, name=column.name)
    values = read_column(column, _values(given, column))
    return to_batch([PlainRows((values,), len(values), 0)], Signature((column,), ())).column(0)


def _number_array(given: Numbers, column: Column) -> pa.Array:
    return pa.array(widened(given, column), arrow_type(column), from_pandas=True)
