"""Arrow types and what Snowflake calls them; names as Snowflake keeps them."""

import re
from collections.abc import Iterable, Mapping

import pyarrow as pa

from lockstep.errors import PublishError
from lockstep.publish.evolution import Widenings

# As many digits as the largest value has: numbers of fewer digits may be widened in place.
DIGITS: tuple[tuple[pa.DataType, int], ...] = (
    (pa.int8(), 3),
    (pa.uint8(), 3),
    (pa.int16(), 5),
    (pa.uint16(), 5),
    (pa.int32(), 10),
    (pa.uint32(), 10),
    (pa.int64(), 19),
    (pa.uint64(), 20),
)
MOST_DIGITS = 38
PLAIN: tuple[tuple[pa.DataType, str], ...] = (
    (pa.bool_(), "BOOLEAN"),
    (pa.float16(), "FLOAT"),
    (pa.float32(), "FLOAT"),
    (pa.float64(), "FLOAT"),
    (pa.string(), "TEXT"),
    (pa.large_string(), "TEXT"),
    (pa.string_view(), "TEXT"),
    (pa.binary(), "BINARY"),
    (pa.large_binary(), "BINARY"),
    (pa.date32(), "DATE"),
)
_STEPS = sorted({digits for _, digits in DIGITS} | {MOST_DIGITS})
WIDENINGS: Widenings = {
    **{f"NUMBER({few},0)": {f"NUMBER({many},0)" for many in _STEPS if many > few} for few in _STEPS},
    "ARRAY": {"VARIANT"},  # a VARIANT, made by hand, takes arrays as they are
}
# A quoted name, or a text, which is left alone.
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")


def sql_type(kind: pa.DataType, *, column: str) -> str:
    """Return the type of a column that holds an Arrow type.

    Raises:
        PublishError: Snowflake has none.
    """
    names: dict[pa.DataType, str] = dict(PLAIN) | {arrow: f"NUMBER({digits},0)" for arrow, digits in DIGITS}
    if kind in names:
        return names[kind]
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type, column=column)
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP_TZ" if kind.tz else "TIMESTAMP_NTZ"
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "ARRAY"
    raise PublishError(
        f"column {column} of type {kind} cannot be published to Snowflake. Nothing was published. "
        "Leave the column out of the spec (passthrough, output), or publish to another warehouse."
    )


def columns_of(schema: Iterable[pa.Field]) -> dict[str, str]:
    """Return the columns that a table for these fields has: names in lower case, as `listed` returns them.

    Raises:
        PublishError: Two names differ in their case alone, or a type does not fit.
    """
    columns: dict[str, str] = {}
    for field in schema:
        name = field.name.lower()
        if name in columns:
            raise PublishError(
                f"columns of the rows differ only in upper and lower case: {name}. Snowflake's names have one case. "
                "Nothing was published. Rename one of them in the spec."
            )
        columns[name] = sql_type(field.type, column=field.name)
    return columns


def listed(facts: Mapping[str, tuple[str, int | None, int | None]]) -> dict[str, str]:
    """Return columns with their types as `sql_type` writes them.

    Args:
        facts: Column of the information schema to data type, digits and digits after the point.
    """
    return {
        name.lower(): f"NUMBER({digits},{scale})" if kind == "NUMBER" else kind
        for name, (kind, digits, scale) in facts.items()
    }


def unfolded(query: str) -> str:
    """Write quoted names in upper case, which is how Snowflake keeps names that nobody quoted.

    So everybody reads the tables without quoting, and the shared statements, which quote some names and not others,
    mean the same columns.
    """
    return _QUOTED.sub(lambda found: found[0].upper() if found[0].startswith('"') else found[0], query)
