"""Rows as a Spark data frame whose columns are what `lockstep.quality.columns` makes of them for the embedded engine.

Local files of types that both read alike are read by Spark itself. All else (tensors and their figures, tables with
constants or filters, files in stores) is read by Python workers just as the embedded engine gets it, through Arrow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lockstep.quality.columns import Column, Kind, kind_of
from lockstep.quality.rows import Rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Letters of paths that Hadoop reads as something else, and beginnings of names that it takes for hidden files.
STRANGE, HIDDEN = frozenset("{}[]*?\\:%#,"), ("_", ".")
MOST_DIGITS = 38
# Signed types that hold all numbers of the unsigned ones, which Spark does not have.
WIDER = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}
Reader = Callable[[], Iterator[pa.RecordBatch]]


def frame_of(spark: "SparkSession", rows: Rows, columns: Mapping[str, Column]) -> "DataFrame":
    """Return rows with their columns under the `sql` names, brought to their kinds.

    Args:
        spark: A session as `spark_measuring` sets it up.
        rows: What to read.
        columns: The columns and figures that are needed.
    """
    types = {name: rows.stored(name) for name in columns}
    stored = all(name in rows.schema.names and _is_native(kind) for name, kind in types.items())
    if rows.files and rows.shared and stored and all(map(_is_plain_path, rows.files)):
        # Given the types, Spark opens no file before it reads the rows.
        schema = _spark_schema({name: _native_type(kind) for name, kind in types.items()})
        return _selected(
            spark.read.schema(schema).parquet(*(f"file://{file.absolute()}" for file in rows.files)), columns, types
        )
    return _selected(_through_arrow(spark, rows, types), columns, types)


def _selected(frame: "DataFrame", columns: Mapping[str, Column], types: Mapping[str, pa.DataType]) -> "DataFrame":
    made = []
    for name, column in columns.items():
        sql = converted(f"`{name.replace('`', '``')}`", types[name])
        made.append(f"{sql} AS {column.sql}")
        if column.kind is Kind.TIME:
            made.append(f"unix_micros(CAST({sql} AS TIMESTAMP_LTZ)) AS {column.micros}")
    return frame.selectExpr(*made) if made else frame.selectExpr("1 AS c")


def converted(name: str, kind: pa.DataType) -> str:
    """Write how a column is brought to its kind; the same as `columns.projection` does for DuckDB."""
    if pa.types.is_dictionary(kind):
        return converted(name, kind.value_type)
    if pa.types.is_floating(kind):
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
    if pa.types.is_decimal(kind):
        return f"CAST({name} AS DOUBLE)"
    if kind_of(kind) is Kind.TIME:
        return f"CAST({name} AS TIMESTAMP_NTZ)"
    return f"validate_utf8({name})" if kind_of(kind) is Kind.TEXT else name


def _is_native(kind: pa.DataType) -> bool:
    """Whether Spark reads Parquet columns of a type as Arrow does."""
    if pa.types.is_dictionary(kind):
        return _is_native(kind.value_type)
    if pa.types.is_timestamp(kind):
        return kind.unit in {"ms", "us"}
    if pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind):
        return True
    return kind_of(kind) in {Kind.FLAG, Kind.TEXT} or pa.types.is_date32(kind) or pa.types.is_decimal128(kind)


def _native_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which Spark reads a Parquet column."""
    if pa.types.is_dictionary(kind):
        return _native_type(kind.value_type)
    return pa.string() if kind_of(kind) is Kind.TEXT else WIDER.get(kind, kind)


def _spark_schema(types: Mapping[str, pa.DataType]) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(pa.schema(list(types.items())), prefer_timestamp_ntz=True)


def _is_plain_path(path: Path) -> bool:
    return not STRANGE & set(str(path)) and not path.name.startswith(HIDDEN)


def _through_arrow(spark: "SparkSession", rows: Rows, types: Mapping[str, pa.DataType]) -> "DataFrame":
    names = list(types)
    if not names:  # rows are counted by a column, whichever
        names = rows.schema.names[:1]
    target = pa.schema([(name, staged_type(rows.stored(name))) for name in names])
    schema = _spark_schema(dict(zip(target.names, target.types, strict=True)))
    readers = rows.part_readers(names) if names else []
    # Without parts there are no rows. `createDataFrame` would leave this session the active one of the caller's thread.
    numbers = spark.range(0, len(readers), 1, max(1, len(readers)))
    return numbers.mapInArrow(_reading(readers, target), schema)


def _reading(readers: Sequence[Reader], target: pa.Schema) -> Callable[[Iterator[pa.RecordBatch]], Any]:
    """Make the function of the Python workers: from numbers of parts to their rows."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                for rows in readers[number]():
                    arrays = [staged(array, kind) for array, kind in zip(rows.columns, target.types, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, schema=target)

    return read


def staged_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which Spark gets values through Arrow."""
    if pa.types.is_dictionary(kind):
        return staged_type(kind.value_type)
    if kind in WIDER:
        return WIDER[kind]
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind):
        wide = kind.precision > MOST_DIGITS
        return pa.float64() if wide else pa.decimal128(kind.precision, kind.scale)
    if kind_of(kind) is Kind.TIME:
        return pa.timestamp("us")
    return kind if kind_of(kind) in {Kind.NUMBER, Kind.FLAG} else pa.string()


def staged(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Bring values to the type of `staged_type`; of what is neither number, text nor time, a text tells it apart."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if kind_of(array.type) is Kind.OTHER:
        return pa.array([None if value is None else repr(value) for value in array.to_pylist()], target)
    return array if array.type == target else array.cast(target, safe=False)
