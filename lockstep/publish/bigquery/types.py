"""Arrow types and what BigQuery calls them. Nothing is ever widened: all integers are INT64, all floats FLOAT64."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from lockstep.errors import PublishError

PLAIN: tuple[tuple[pa.DataType, str], ...] = (
    *((kind, "INT64") for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *((kind, "INT64") for kind in (pa.uint8(), pa.uint16(), pa.uint32())),
    (pa.float32(), "FLOAT64"),
    (pa.float64(), "FLOAT64"),
    (pa.bool_(), "BOOL"),
    (pa.string(), "STRING"),
    (pa.large_string(), "STRING"),
    (pa.string_view(), "STRING"),
    (pa.binary(), "BYTES"),
    (pa.large_binary(), "BYTES"),
    (pa.date32(), "DATE"),
)
# As its interface names them, where that differs from SQL.
SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
# A moment of BigQuery has microseconds.
FINEST_UNITS = {"s", "ms", "us"}


def sql_type(kind: pa.DataType, *, column: str) -> str:
    """Return the type of a column that holds an Arrow type, such as `INT64` or `ARRAY<FLOAT64>`.

    Raises:
        PublishError: BigQuery has none that holds every value.
    """
    names: dict[pa.DataType, str] = dict(PLAIN)
    if kind in names:
        return names[kind]
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type, column=column)
    if pa.types.is_timestamp(kind) and kind.unit in FINEST_UNITS:
        return "TIMESTAMP" if kind.tz else "DATETIME"
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = sql_type(kind.value_type, column=column)
        if not inner.startswith("ARRAY"):  # there are no arrays of arrays
            return f"ARRAY<{inner}>"
    raise PublishError(
        f"column {column} of type {kind} cannot be published to BigQuery. Nothing was published. "
        "Leave the column out of the spec (passthrough, output), or publish to another warehouse."
    )


def columns_of(schema: Iterable[pa.Field]) -> dict[str, str]:
    """Return the columns that a table for these fields has.

    Raises:
        PublishError: Two names differ in their case alone, or a type does not fit.
    """
    columns: dict[str, str] = {}
    for field in schema:
        if field.name.lower() in {name.lower() for name in columns}:
            raise PublishError(
                f"columns of the rows differ only in upper and lower case: {field.name}. BigQuery takes them for one. "
                "Nothing was published. Rename one of them in the spec."
            )
        columns[field.name] = sql_type(field.type, column=field.name)
    return columns


def spelled(columns: Mapping[str, str], existing: Iterable[str]) -> dict[str, str]:
    """Write names as the table has them, which takes a name in any case for its own."""
    known = {name.lower(): name for name in existing}
    return {known.get(name.lower(), name): kind for name, kind in columns.items()}


def listed(name: str, mode: str) -> str:
    """Return a column's type as `sql_type` writes it.

    Args:
        name: As BigQuery's interface says it (`INTEGER`).
        mode: `NULLABLE`, `REQUIRED` or `REPEATED`.
    """
    kind = SQL_NAMES.get(name, name)
    return f"ARRAY<{kind}>" if mode == "REPEATED" else kind
