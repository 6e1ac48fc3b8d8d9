"""Keys of rows in an online store: one text for the same key, whether it comes from a table or from a request.

A key is the text of each of its columns with its length before it (`2:UA4:1545`), so no two keys have the same text.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

KeyKind = Literal["text", "integer", "boolean", "day", "moment"]

NULL = "~"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
EXPECTED: dict[KeyKind, str] = {
    "text": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "day": "a day as YYYY-MM-DD",
    "moment": "a time as ISO 8601",
}


@dataclass(frozen=True)
class KeyColumn:
    """A column of the key, and what its values are."""

    name: str
    kind: KeyKind


class NotAKey(ValueError):
    """A value that no row can have as its key; says which column, which row and what is expected, never the value."""

    def __init__(self, column: str, *, row: int | None, expected: str) -> None:
        where = "" if row is None else f" of row {row}"
        super().__init__(f"key column {column!r}{where}: expected {expected}")


def key_kind(kind: pa.DataType) -> KeyKind | None:
    """Return what values of an Arrow type are as part of a key; none: they are no key, as fractions are."""
    tests: tuple[tuple[Callable[[pa.DataType], bool], KeyKind], ...] = (
        (pa.types.is_string, "text"),
        (pa.types.is_large_string, "text"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_date32, "day"),
        (pa.types.is_timestamp, "moment"),
    )
    return next((name for test, name in tests if test(kind)), None)


def table_keys(columns: Sequence[pa.Array], kinds: Sequence[KeyColumn]) -> list[bytes]:
    """Return the keys of the rows of a table.

    Args:
        columns: The key's columns, in its order.
        kinds: What they are.
    """
    parts = [_texts(values, column.kind) for values, column in zip(columns, kinds, strict=True)]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "")
    found: list[bytes] = joined.cast(pa.binary()).to_pylist()
    return found


def _texts(values: pa.Array, kind: KeyKind) -> pa.Array:
    if kind == "moment":
        unit = pa.timestamp("us", values.type.tz) if values.type.tz else pa.timestamp("us")
        values = values.cast(unit).cast(pa.int64())
    texts = values.cast(pa.string())
    lengths = pc.utf8_length(texts).cast(pa.string())
    return pc.binary_join_element_wise(lengths, texts, ":").fill_null(NULL)


def request_keys(columns: Sequence[Sequence[Any]], kinds: Sequence[KeyColumn]) -> list[bytes]:
    """Return the keys of the rows of a request.

    Args:
        columns: Plain values of the key's columns, in its order, all of one length.
        kinds: What they are.

    Raises:
        NotAKey: A value is not of its column's kind.
    """
    parts = [_parts(values, column) for values, column in zip(columns, kinds, strict=True)]
    return [b"".join(key) for key in zip(*parts, strict=True)]


def _parts(values: Sequence[Any], column: KeyColumn) -> list[bytes]:
    text_of, found = _TEXTS[column.kind], []
    for row, value in enumerate(values):
        if value is None:
            found.append(NULL.encode())
            continue
        try:
            text = text_of(value)
            found.append(f"{len(text)}:{text}".encode())
        except (ValueError, TypeError, OverflowError) as error:
            raise NotAKey(column.name, row=row, expected=EXPECTED[column.kind]) from error
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _integer(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return str(value)


def _boolean(value: Any) -> str:
    if not isinstance(value, bool):
        raise TypeError
    return "true" if value else "false"


def _day(value: Any) -> str:
    if isinstance(value, dt.datetime):
        raise TypeError
    day = value if isinstance(value, dt.date) else dt.date.fromisoformat(_text(value))
    return day.isoformat()


def _moment(value: Any) -> str:
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(_text(value))
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return str((aware - EPOCH) // MICROSECOND)


_TEXTS: dict[KeyKind, Callable[[Any], str]] = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "day": _day,
    "moment": _moment,
}
