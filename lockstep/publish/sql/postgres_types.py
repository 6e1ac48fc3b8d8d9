"""Arrow types and what PostgreSQL calls them."""

import pyarrow as pa

from lockstep.errors import PublishError
from lockstep.publish.evolution import Widenings

PLAIN: tuple[tuple[pa.DataType, str], ...] = (
    (pa.bool_(), "boolean"),
    (pa.int8(), "smallint"),
    (pa.int16(), "smallint"),
    (pa.int32(), "integer"),
    (pa.int64(), "bigint"),
    (pa.uint8(), "smallint"),
    (pa.uint16(), "integer"),
    (pa.uint32(), "bigint"),
    (pa.float16(), "real"),
    (pa.float32(), "real"),
    (pa.float64(), "double precision"),
    (pa.string(), "text"),
    (pa.large_string(), "text"),
    (pa.string_view(), "text"),
    (pa.binary(), "bytea"),
    (pa.large_binary(), "bytea"),
    (pa.date32(), "date"),
)
# What the binary protocol is given for each type of a table.
WIRE: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "character varying": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "timestamp without time zone": pa.timestamp("us"),
}
WIDENINGS: Widenings = {
    "smallint": {"integer", "bigint", "real", "double precision"},
    "integer": {"bigint", "double precision"},
    "real": {"double precision"},
    "real[]": {"double precision[]"},
    "integer[]": {"bigint[]", "double precision[]"},
    "smallint[]": {"integer[]", "bigint[]"},
}


def sql_type(kind: pa.DataType, *, column: str) -> str:
    """Return the type of a column that holds an Arrow type.

    Raises:
        PublishError: PostgreSQL has none.
    """
    for arrow, name in PLAIN:
        if kind.equals(arrow):
            return name
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type, column=column)
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp without time zone"
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return sql_type(kind.value_type, column=column) + "[]"
    raise PublishError(
        f"column {column} of type {kind} cannot be published to PostgreSQL. Nothing was published. "
        "Leave the column out of the spec (passthrough, output), or publish to another warehouse."
    )


def wire_type(name: str, *, staged: pa.DataType) -> pa.DataType:
    """Return the Arrow type in which values go to a column of type `name`; to a type of the user's own: as staged."""
    if name.endswith("[]"):
        element = wire_type(name.removesuffix("[]"), staged=staged.value_type)
        return pa.list_(element)
    return WIRE.get(name.partition("(")[0], staged)
