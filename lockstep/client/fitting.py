"""Rows in any form to the columns of a model: once, before they are written in a protocol, so that all mean the same.

A value is read as the endpoint reads JSON: whole numbers as integers, text never as a number, nothing is cut off.
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.client.errors import RowsUnfit
from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import arrow_type, described
from lockstep.serving.columns import read_column
from lockstep.serving.tensor_values import read_tensor

if TYPE_CHECKING:
    import pandas as pd

# A table, records, or columns by name.
Rows: TypeAlias = "pa.Table | pa.RecordBatch | pd.DataFrame | Sequence[Mapping[str, Any]] | Mapping[str, Any]"
SHOWN = 10


def fitted(rows: Rows, inputs: Sequence[Column]) -> pa.Table:
    """Return the model's inputs among the columns of some rows, in the types of the model.

    Args:
        rows: Records, or columns: of Arrow, pandas or NumPy, or lists. A tensor is an array of `(rows, *shape)` or one
            nested or flat list for each row. Other columns are left out.
        inputs: Of the model. What is not there is left out: the endpoint knows whether it may be.

    Raises:
        RowsUnfit: There is none of the inputs, columns differ in length, or a value is not of the column's type. The
            message names column and row, and never the value.
    """
    columns = columns_of(rows, names={column.name for column in inputs})
    arrays = {column.name: fit(columns[column.name], column) for column in inputs if column.name in columns}
    if not arrays:
        wanted = ", ".join(column.name for column in inputs[:SHOWN])
        raise RowsUnfit(f"the rows have none of the model's inputs: {wanted}{', ...' if len(inputs) > SHOWN else ''}")
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{name} has {len(array)}" for name, array in list(arrays.items())[:SHOWN])
        raise RowsUnfit(f"columns differ in length: {told}")
    return pa.table(arrays)


def columns_of(rows: Rows, *, names: set[str]) -> Mapping[str, Any]:
    """Return rows by column; of records only the columns of these names.

    Raises:
        RowsUnfit: They are in no form that is read, or a record lacks a column that others have.
    """
    if isinstance(rows, pa.Table | pa.RecordBatch):
        twice = {name for name in rows.schema.names if rows.schema.names.count(name) > 1}
        return {name: rows.column(name) for name in rows.schema.names if name not in twice}
    if isinstance(rows, Mapping):
        return rows
    if type(rows).__module__.partition(".")[0] == "pandas":
        return {str(name): rows[name] for name in rows.columns}  # type: ignore[union-attr, index]
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise RowsUnfit("rows are a table of Arrow or pandas, a list of records, or a mapping of columns")
    return by_column([{name: row[name] for name in row if name in names} for row in _records(rows)])


def _records(rows: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    for row, record in enumerate(rows):
        if not isinstance(record, Mapping):
            raise RowsUnfit(f"row {row}: expected a record, got {type(record).__name__}")
    return rows


def by_column(records: Sequence[Mapping[str, Any]], *, first: int = 0) -> dict[str, list[Any]]:
    """Return records by column; `first` is the number of the first one, for errors.

    Raises:
        RowsUnfit: One lacks a column that others have.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    for name in names:
        for row, record in enumerate(records, first):
            if name not in record:
                raise RowsUnfit(
                    f"row {row} lacks column {name!r}, which other rows have; give None for what is missing"
                )
    return {name: [record[name] for record in records] for name in names}


def fit(values: Any, column: Column) -> pa.Array:
    """Return the values of one column as Arrow has the model's type.

    Raises:
        RowsUnfit: One does not fit.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if type(values).__module__.partition(".")[0] == "pandas":
        values = values.tolist() if column.shape is not None else pa.array(values, from_pandas=True)
    try:
        if column.shape is not None:
            return _tensors(values, column)
        if isinstance(values, np.ndarray) and not values.dtype.hasobject:
            values = pa.array(values.reshape(len(values)), from_pandas=True)
        if isinstance(values, pa.Array):
            return _arrow(values, column)
        return pa.array(read_column(column, _plain(values)), arrow_type(column), from_pandas=True)
    except RequestInvalid as error:
        raise RowsUnfit(str(error).replace("field ", "column ", 1)) from error
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise RowsUnfit(f"column {column.name!r}: expected {described(column)}, got something else") from error


def _plain(values: Iterable[Any]) -> list[Any]:
    """Return values as Python has them in JSON: numbers without NumPy, times in ISO form."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    return [value.isoformat() if isinstance(value, dt.date) else value for value in plain]


def _tensors(values: Any, column: Column) -> pa.Array:
    shape, size = column.shape or (), math.prod(column.shape or ())
    if isinstance(values, pa.Array):
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        for row in np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[:1]:
            raise RowsUnfit(f"column {column.name!r}, row {row}: expected {described(column)}, got null")
        values = values.to_pylist()
    if isinstance(values, np.ndarray) and values.shape[1:] not in (shape, (size,)):
        raise RowsUnfit(f"column {column.name!r}: expected {described(column)} in each row, got {values.shape[1:]}")
    rows = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    flat = read_tensor(column, rows).reshape(-1)
    kind = arrow_type(column)
    elements = pa.array(flat.tolist() if flat.dtype.hasobject else flat, kind.value_type)
    return pa.FixedSizeListArray.from_arrays(elements, size)


def _arrow(array: pa.Array, column: Column) -> pa.Array:
    """Cast an Arrow array where no value changes its meaning."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    got, wanted = array.type, arrow_type(column)
    if pa.types.is_null(got):
        return pa.nulls(len(array), wanted)
    if pa.types.is_string(wanted):
        return _texts(array, column)
    if pa.types.is_boolean(wanted) or pa.types.is_boolean(got) or not (_is_number(got) and _is_number(wanted)):
        if got != wanted:
            raise RowsUnfit(f"column {column.name!r}: expected {described(column)}, got Arrow's {got}")
        return array
    if pa.types.is_floating(got):  # NaN is missing, whatever the column's type
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, got), array)
    try:
        cast = array.cast(wanted)
    except pa.ArrowInvalid:
        cast = None
    if cast is not None and _infinite(cast) == _infinite(array):
        return cast
    # Value by value, as JSON is read: what does not fit is named by its row.
    return pa.array(read_column(column, array.to_pylist()), wanted, from_pandas=True)


def _texts(array: pa.Array, column: Column) -> pa.Array:
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        exact = array.cast(pa.timestamp("us", kind.tz)) if pa.types.is_timestamp(kind) else array
        return pa.array([None if value is None else value.isoformat() for value in exact.to_pylist()], pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise RowsUnfit(f"column {column.name!r}: expected text, got Arrow's {kind}")
    return array.cast(pa.string())


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _infinite(array: pa.Array) -> int:
    return int(pc.sum(pc.is_inf(array)).as_py() or 0) if pa.types.is_floating(array.type) else 0
