"""The model's signature as an Arrow schema, and the one place where data is made to fit it."""

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


@dataclass(frozen=True)
class Signature:
    """Declared inputs and outputs of a model, in order."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]

    def schema(self) -> pa.Schema:
        """Return the inputs as an Arrow schema."""
        return pa.schema([pa.field(column.name, ARROW_TYPES[column.dtype]) for column in self.inputs])


def fits(got: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column of type `got` may be read as `wanted` without changing what a value means.

    Numbers widen (integer to double, int to long), never the other way; nothing becomes or comes from a string.
    """
    if got == wanted or pa.types.is_null(got):
        return True
    if pa.types.is_dictionary(got):
        return fits(got.value_type, wanted)
    if pa.types.is_string(wanted):
        return bool(pa.types.is_large_string(got))
    if pa.types.is_floating(wanted):
        return bool(pa.types.is_integer(got) or (pa.types.is_floating(got) and got.bit_width <= wanted.bit_width))
    if pa.types.is_integer(wanted):
        return bool(pa.types.is_integer(got) and got.bit_width <= wanted.bit_width)
    return bool(pa.types.is_timestamp(wanted) and pa.types.is_timestamp(got))


def conform(batch: pa.RecordBatch, signature: Signature, *, where: str) -> pa.RecordBatch:
    """Select, order and widen the columns of a batch to the model's signature.

    Args:
        batch: Any batch; columns beyond the signature are left out.
        signature: What the model declares.
        where: What to call the batch in an error (a file, a request).

    Returns:
        A batch with exactly the signature's schema. A column that is not required and not there is all null.

    Raises:
        ColumnMissing: A required column is not there.
        ColumnTypeMismatch: A column has a type that does not fit.
    """
    check(batch.schema, signature, where=where)
    arrays = []
    for column, field in zip(signature.inputs, signature.schema(), strict=True):
        index = batch.schema.get_field_index(column.name)
        if index < 0:
            arrays.append(pa.nulls(batch.num_rows, field.type))
        else:
            arrays.append(batch.column(index).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=signature.schema())


def check(schema: pa.Schema, signature: Signature, *, where: str) -> None:
    """Check a schema against the signature without touching data; raises as `conform` does."""
    for column, wanted in zip(signature.inputs, signature.schema(), strict=True):
        index = schema.get_field_index(column.name)
        if index < 0 and column.required:
            raise ColumnMissing(column.name, where=where, expected=f"a column of type {column.dtype}", got=schema.names)
        if index >= 0 and not fits(schema.field(index).type, wanted.type):
            got = str(schema.field(index).type)
            raise ColumnTypeMismatch(column.name, where=where, expected=column.dtype, got=got)
