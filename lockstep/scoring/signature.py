"""The model's signature as an Arrow schema, and the one place where data is made to fit it."""

import functools
import math
from dataclasses import dataclass

import pyarrow as pa

from lockstep.errors import ColumnMissing, ColumnTypeMismatch
from lockstep.run.plan import Column

# MLflow's column types: https://mlflow.org/docs/latest/ml/model/signatures/
ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "double": pa.float64(),
    "float": pa.float32(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
}
# Elements of tensors: the types above but times, and narrower numbers by NumPy's name.
ELEMENT_TYPES: dict[str, pa.DataType] = {
    **{name: ARROW_TYPES[name] for name in ("double", "float", "integer", "long", "boolean", "string")},
    "float16": pa.float16(),
    "uint8": pa.uint8(),
    "int8": pa.int8(),
    "int16": pa.int16(),
}


# Types whose NumPy form has no value for null; a float becomes NaN, text None, a time NaT.
WITHOUT_NULL = {"integer", "long", "boolean", "uint8", "int8", "int16"}


@dataclass(frozen=True)
class Signature:
    """Declared inputs and outputs of a model, in order."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """The inputs as an Arrow schema."""
        return pa.schema([pa.field(column.name, arrow_type(column)) for column in self.inputs])

    @functools.cached_property
    def places_to_check(self) -> tuple[int, ...]:
        """Places of the inputs of which a value may be one that no model can be given: not plain floats and times."""
        return tuple(
            place
            for place, column in enumerate(self.inputs)
            if column.shape is not None or column.dtype == "string" or column.dtype in WITHOUT_NULL
        )

    @functools.cached_property
    def takes_values(self) -> bool:
        """Whether any value of the inputs' types can be given to the model: floats and text, for which null is fine."""
        return all(column.shape is None and column.dtype in {"double", "float", "string"} for column in self.inputs)

    @functools.cached_property
    def inputs_by_name(self) -> dict[str, Column]:
        """The inputs by their name."""
        return {column.name: column for column in self.inputs}

    @functools.cached_property
    def required_names(self) -> frozenset[str]:
        """Names of the inputs that must be given."""
        return frozenset(column.name for column in self.inputs if column.required)

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the inputs, in order."""
        return [column.name for column in self.inputs]

    @functools.cached_property
    def tensor_places(self) -> tuple[int, ...]:
        """Places of the inputs that are tensors."""
        return tuple(place for place, column in enumerate(self.inputs) if column.shape is not None)

    @functools.cached_property
    def plain_places(self) -> dict[str, tuple[int, ...]]:
        """Places of the inputs that are no tensors, by their type."""
        found: dict[str, list[int]] = {}
        for place, column in enumerate(self.inputs):
            if column.shape is None:
                found.setdefault(column.dtype, []).append(place)
        return {dtype: tuple(places) for dtype, places in found.items()}


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type of a column; a tensor is a fixed-size list of its elements in C order."""
    kind = ARROW_TYPES.get(column.dtype) or ELEMENT_TYPES[column.dtype]
    return kind if column.shape is None else pa.list_(kind, math.prod(column.shape))


def fits(got: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column of type `got` may be read as `wanted` without changing what a value means.

    Numbers widen (integer to double, int to long), never the other way; nothing becomes or comes from a string.
    A list of any length may hold a tensor: the length is a matter of each row.
    """
    if got == wanted or pa.types.is_null(got):
        return True
    if pa.types.is_dictionary(got):
        return fits(got.value_type, wanted)
    if pa.types.is_fixed_size_list(wanted):
        return _is_list(got) and fits(got.value_type, wanted.value_type)
    return _fits_value(got, wanted)


def _fits_value(got: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_string(wanted):
        return bool(pa.types.is_large_string(got) or pa.types.is_string_view(got))
    if pa.types.is_floating(wanted):
        return bool(pa.types.is_integer(got) or (pa.types.is_floating(got) and got.bit_width <= wanted.bit_width))
    if pa.types.is_integer(wanted):
        return _is_narrower_integer(got, wanted)
    return bool(pa.types.is_timestamp(wanted) and pa.types.is_timestamp(got))


def _is_list(got: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(got) or pa.types.is_list(got) or pa.types.is_large_list(got))


def _is_narrower_integer(got: pa.DataType, wanted: pa.DataType) -> bool:
    if not pa.types.is_integer(got):
        return False
    if pa.types.is_unsigned_integer(got) == pa.types.is_unsigned_integer(wanted):
        return bool(got.bit_width <= wanted.bit_width)
    return bool(pa.types.is_unsigned_integer(got) and got.bit_width < wanted.bit_width)


def select(batch: pa.RecordBatch, signature: Signature, *, where: str) -> pa.RecordBatch:
    """Select and order the columns of a batch by the model's signature; values stay as they are.

    Args:
        batch: Any batch; columns beyond the signature are left out.
        signature: What the model declares.
        where: What to call the batch in an error (a file, a request).

    Returns:
        A batch with the names of the signature. A column that is not required and not there is all null.

    Raises:
        ColumnMissing: A required column is not there.
        ColumnTypeMismatch: A column has a type that does not fit.
    """
    if batch.schema.equals(signature.schema):
        return batch
    check(batch.schema, signature, where=where)
    arrays = []
    for field in signature.schema:
        index = batch.schema.get_field_index(field.name)
        arrays.append(pa.nulls(batch.num_rows, field.type) if index < 0 else batch.column(index))
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in signature.inputs])


def widened(chosen: pa.RecordBatch, signature: Signature) -> pa.RecordBatch:
    """Widen selected columns to the signature's own types.

    Raises:
        pyarrow.ArrowInvalid: A row does not fit: a list of another length, a value that the type cannot hold, text that
            is no UTF-8. Such rows are found by `lockstep.scoring.rows`.
    """
    schema = signature.schema
    if chosen.schema.equals(schema):
        return chosen
    return pa.RecordBatch.from_arrays([_widen(a, f.type) for a, f in zip(chosen, schema, strict=True)], schema=schema)


def _widen(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if array.type == wanted:
        return array
    if pa.types.is_fixed_size_list(array.type) and pa.types.is_fixed_size_list(wanted):
        return array.cast(pa.list_(wanted.value_type, array.type.list_size)).cast(wanted)
    return array.cast(wanted)


def check(schema: pa.Schema, signature: Signature, *, where: str) -> None:
    """Check a schema against the signature without touching data; raises as `select` does."""
    for column, wanted in zip(signature.inputs, signature.schema, strict=True):
        index = schema.get_field_index(column.name)
        if index < 0 and column.required:
            raise ColumnMissing(
                column.name, where=where, expected=f"a column of type {described(column)}", got=schema.names
            )
        if index >= 0 and not fits(schema.field(index).type, wanted.type):
            got = str(schema.field(index).type)
            raise ColumnTypeMismatch(column.name, where=where, expected=described(column), got=got)


def described(column: Column) -> str:
    """Return the type of a column for a person: `double`, or `float tensor of shape (3, 32, 32)`."""
    return column.dtype if column.shape is None else f"{column.dtype} tensor of shape {column.shape}"
