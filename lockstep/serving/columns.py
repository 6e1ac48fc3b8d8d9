"""Columns of plain values to rows of the signature: the one check behind every request format.

JSON has one kind of number and no timestamps; here each value is read as the signature's type or refused with field,
row and expectation. Nothing is guessed: text is never read as a number, a fraction is never cut off.
"""

import datetime as dt
import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.json_body import json_kind
from lockstep.serving.rows import VALUE_BYTES, PlainRows, Values
from lockstep.serving.tensor_values import read_tensor

SHOWN_COLUMNS = 10
# From here on, and below its negative, a number is nearer to infinity than to any 32-bit float.
BEYOND_SINGLE = 2.0**128 - 2.0**103


class Misfit(Exception):
    """A value is not of the expected kind; the message says what it is instead, not what it holds."""


@dataclass(frozen=True)
class Kind:
    """How values of one signature type are read.

    Attributes:
        expected: What to say in an error.
        plain: Python types that Arrow reads rightly and at once.
        convert: Reads one value of another type, or raises `Misfit`.
        bounded: Whether values of these types all fit; none: they do.
    """

    expected: str
    plain: frozenset[type]
    convert: Callable[[Any], Any]
    bounded: Callable[[Iterable[Any]], bool] | None = None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misfit(json_kind(value))
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Misfit("a string that is not valid Unicode") from error
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit(json_kind(value))
    try:
        return float(value)
    except OverflowError as error:
        raise Misfit("a number out of range") from error


def _single(value: Any) -> float:
    """Read a number that is not rounded to an infinity; an infinity itself is one."""
    number = _number(value)
    if not -BEYOND_SINGLE < number < BEYOND_SINGLE and not math.isinf(number):
        raise Misfit("a number out of range")
    return number


def _are_single(values: Iterable[Any]) -> bool:
    known = [value for value in values if value is not None]
    return not known or (min(known) > -BEYOND_SINGLE and max(known) < BEYOND_SINGLE)


def _whole(bits: int) -> Callable[[Any], int]:
    bound = 1 << (bits - 1)

    def convert(value: Any) -> int:
        number = value if isinstance(value, int) and not isinstance(value, bool) else _number(value)
        if isinstance(number, float) and not number.is_integer():
            raise Misfit("a number with a fraction")
        # A float of -2**63 may be an integer below it that was rounded.
        if not -bound <= number < bound or (isinstance(number, float) and number == -(2.0**63)):
            raise Misfit("an integer out of range")
        return int(number)

    return convert


def _within(bits: int) -> Callable[[Iterable[Any]], bool]:
    bound = 1 << (bits - 1)

    def within(values: Iterable[Any]) -> bool:
        known = [value for value in values if value is not None]
        return not known or (min(known) >= -bound and max(known) < bound)

    return within


def _is_unicode(values: Iterable[Any]) -> bool:
    """Whether no text has a lone surrogate, which only Python's own JSON parser lets through."""
    try:
        for value in values:
            if value is not None and not value.isascii():
                value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Misfit(json_kind(value))
    return value


def _instant(value: Any) -> dt.datetime:
    try:
        instant = dt.datetime.fromisoformat(_text(value))
        return instant if instant.tzinfo is None else instant.astimezone(dt.UTC).replace(tzinfo=None)
    except ValueError as error:
        raise Misfit("a string in another form") from error
    except OverflowError as error:  # in UTC it is before the year 1 or after 9999
        raise Misfit("a time out of range") from error


NULL = type(None)
KINDS: dict[str, Kind] = {
    "string": Kind("a string or null", frozenset({str, NULL}), _text, _is_unicode),
    "double": Kind("a number or null", frozenset({float, NULL}), _number),
    "float": Kind("a number or null", frozenset({float, NULL}), _single, _are_single),
    "integer": Kind("a 32-bit integer or null", frozenset({int, NULL}), _whole(32), _within(32)),
    "long": Kind("a 64-bit integer or null", frozenset({int, NULL}), _whole(64), _within(64)),
    "boolean": Kind("true, false or null", frozenset({bool, NULL}), _truth),
    "datetime": Kind("an ISO 8601 timestamp as a string, or null", frozenset({NULL}), _instant),
}


def read_column(column: Column, values: Values) -> Values:
    """Check the values of one column; null and NaN are both missing.

    Returns:
        Values that Arrow reads as the column's type without an error; of a tensor column its `(rows, *shape)` array.

    Raises:
        RequestInvalid: A value is not of the column's type; names the field and the row.
    """
    if column.shape is not None:
        return read_tensor(column, values)
    kind = KINDS[column.dtype]
    if kind.plain.issuperset(map(type, values)) and (kind.bounded is None or kind.bounded(values)):
        return values
    return _converted(column.name, values, kind)


def _converted(name: str, values: Values, kind: Kind) -> list[Any]:
    out: list[Any] = []
    for row, value in enumerate(values):
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        try:
            out.append(None if missing else kind.convert(value))
        except Misfit as error:
            raise RequestInvalid(f"field {name!r}, row {row}: expected {kind.expected}, got {error}") from error
    return out


def build_rows(columns: Mapping[str, Values], signature: Signature) -> PlainRows:
    """Check the columns of a request against the signature.

    Args:
        columns: Values by name; names beyond the signature are left out, as MLflow does.
        signature: What the model declares. A column that is not required may be left out and is then null.

    Raises:
        RequestInvalid: Columns are missing, differ in length, or hold values of another type.
    """
    if not columns.keys() >= signature.required_names:
        require(columns.keys(), signature)
    rows = _row_count(columns, signature)
    given = [columns[c.name] if c.name in columns else [None] * rows for c in signature.inputs]
    return check_rows(given, rows, signature)


def check_rows(columns: list[Values], rows: int, signature: Signature) -> PlainRows:
    """Check the columns of all inputs, in their order, each of so many rows.

    Raises:
        RequestInvalid: A value is of another type than its column.
    """
    for dtype, places in signature.plain_places.items():
        kind = KINDS[dtype]
        together = list(chain.from_iterable([columns[place] for place in places]))
        if kind.plain.issuperset(map(type, together)) and (kind.bounded is None or kind.bounded(together)):
            continue  # nearly always, and far faster than column by column
        for place in places:
            columns[place] = read_column(signature.inputs[place], columns[place])
    size = VALUE_BYTES * rows * len(columns)
    for place in signature.tensor_places:
        columns[place] = array = read_tensor(signature.inputs[place], columns[place])
        size += array.nbytes
    return PlainRows(tuple(columns), rows, size)


def _row_count(columns: Mapping[str, Values], signature: Signature) -> int:
    lengths = {c.name: len(columns[c.name]) for c in signature.inputs if c.name in columns}
    if len(set(lengths.values())) > 1:
        first, *others = lengths
        other = next(name for name in others if lengths[name] != lengths[first])
        raise RequestInvalid(
            f"columns differ in length: {first!r} has {lengths[first]} values, {other!r} has {lengths[other]}"
        )
    return next(iter(lengths.values()), 0)


def require(names: Container[str], signature: Signature) -> None:
    """Check that `names` holds every required column, or raise `RequestInvalid`."""
    missing = [c for c in signature.inputs if c.required and c.name not in names]
    if missing:
        listed = ", ".join(f"{column.name!r} ({column.dtype})" for column in missing[:SHOWN_COLUMNS])
        more = f" and {len(missing) - SHOWN_COLUMNS} more" if len(missing) > SHOWN_COLUMNS else ""
        raise RequestInvalid(f"the request lacks {len(missing)} of the model's input columns: {listed}{more}")
