"""Columns as checks see them: what kind of value each holds, and the SQL that brings it to that kind.

NaN counts as null. Dates and timestamps are naive UTC timestamps, decimals are doubles and dictionaries are what they
stand for, so that bounds written in YAML compare. Of a column of tensors (fixed-size lists) the figures
`<column>.norm`, `.mean`, `.min` and `.max` are columns too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import ColumnMissing

# Figures of a tensor column that a suite may check as `<column>.<figure>`: `(rows, elements) float64` to `(rows,)`.
FIGURES: dict[str, Callable[[npt.NDArray[np.float64]], Any]] = {
    "norm": lambda values: np.sqrt(np.einsum("ij,ij->i", values, values)),
    "mean": lambda values: values.mean(axis=1),
    "min": lambda values: values.min(axis=1),
    "max": lambda values: values.max(axis=1),
}
# Ending of the name under which a time is there as a whole number too.
MICROS = "_us"


class Kind(Enum):
    """What a column holds, as far as checks tell kinds apart."""

    NUMBER = "numbers"
    FLAG = "booleans"
    TEXT = "text"
    TIME = "times"
    OTHER = "other values"


@dataclass(frozen=True)
class Column:
    """A column of the measured rows.

    Attributes:
        sql: Its name in queries, which is safe in any dialect.
        whole: Whether it holds whole numbers.
        single: Whether it holds floats of 32 bits, with which a bound is compared in 32 bits.
    """

    name: str
    kind: Kind
    sql: str
    whole: bool = False
    single: bool = False

    @property
    def number(self) -> str:
        """SQL of the value as a number; booleans count as 0 and 1."""
        return f"CAST({self.sql} AS INTEGER)" if self.kind is Kind.FLAG else self.sql

    @property
    def micros(self) -> str:
        """SQL of a time as microseconds since 1970; only times have it."""
        return f"{self.sql}{MICROS}"


def kind_of(kind: pa.DataType) -> Kind:
    """Return the kind of an Arrow type."""
    if pa.types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return Kind.NUMBER
    if pa.types.is_boolean(kind):
        return Kind.FLAG
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return Kind.TEXT
    return Kind.TIME if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else Kind.OTHER


def columns_of(names: Sequence[str], schema: pa.Schema, *, where: str) -> dict[str, Column]:
    """Return the columns and figures of that name.

    Args:
        names: What checks name.
        schema: Of the rows.
        where: What the rows are, for messages.

    Raises:
        ColumnMissing: One is not there.
    """
    found = {}
    for index, name in enumerate(names):
        source = source_of(name, schema)
        if source is None:
            raise ColumnMissing(name, where=where, expected="it for a check of the spec's suite", got=_names(schema))
        kind = pa.float64() if source != name else schema.field(name).type
        whole, single = pa.types.is_integer(kind), pa.types.is_float32(kind) or pa.types.is_float16(kind)
        found[name] = Column(name, kind_of(kind), f"c{index}", whole=whole, single=single)
    return found


def source_of(name: str, schema: pa.Schema) -> str | None:
    """Return the stored column behind a column or a figure, or none."""
    if name in schema.names:
        return name
    column, _, figure = name.rpartition(".")
    is_tensor = column in schema.names and pa.types.is_fixed_size_list(schema.field(column).type)
    return column if is_tensor and figure in FIGURES else None


def _names(schema: pa.Schema) -> list[str]:
    """Return the columns that a check may name."""
    tensors = [field.name for field in schema if pa.types.is_fixed_size_list(field.type)]
    return [*schema.names, *(f"{name}.{figure}" for name in tensors for figure in FIGURES)]


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def projection(columns: Mapping[str, Column], schema: pa.Schema) -> str:
    """Return the select list that brings columns of a schema to their kinds, for DuckDB."""
    parts = []
    for name, column in columns.items():
        made = _converted(quoted(name), schema.field(name).type)
        parts.append(f"{made} AS {column.sql}")
        if column.kind is Kind.TIME:
            parts.append(f"epoch_us({made}) AS {column.micros}")
    return ", ".join(parts) or "1 AS c"


def _converted(name: str, kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return _converted(f"CAST({name} AS VARCHAR)", kind.value_type) if kind_of(kind) is Kind.TEXT else name
    if pa.types.is_floating(kind):
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
    if pa.types.is_decimal(kind):
        return f"CAST({name} AS DOUBLE)"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return f"make_timestamp(epoch_us({name}))"
    return f"CAST({name} AS TIMESTAMP)" if kind_of(kind) is Kind.TIME else name


def with_figures(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return the columns and figures of a batch, in order."""
    stored = set(batch.schema.names)
    made = [batch.column(name) if name in stored else _figure(batch, name) for name in names]
    return pa.RecordBatch.from_arrays(made, names=list(names))


def _figure(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Compute a figure; a tensor column read from Parquet has no nulls, for pyarrow cannot read such."""
    column, _, figure = name.rpartition(".")
    tensor = batch.column(column)
    values = tensor.flatten().to_numpy(zero_copy_only=False).reshape(len(tensor), tensor.type.list_size)
    return pa.array(FIGURES[figure](values.astype(np.float64)), pa.float64())
