"""Columns of plain values to a batch of the signature's schema: the one converter behind every request format.

JSON has one kind of number and no timestamps; here each value is read as the signature's type or refused with field,
row and expectation. Nothing is guessed: text is never read as a number, a fraction is never cut off.
"""

import datetime as dt
import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import ARROW_TYPES, Signature
from lockstep.serving.json_body import json_kind

Values = Sequence[Any]

SHOWN_COLUMNS = 10


class Misfit(Exception):
    """A value is not of the expected kind; the message says what it is instead, not what it holds."""


@dataclass(frozen=True)
class Kind:
    """How values of one signature type are read.

    Attributes:
        expected: What to say in an error.
        plain: Python types that Arrow reads rightly and at once.
        convert: Reads one value of another type, or raises `Misfit`.
    """

    expected: str
    plain: frozenset[type]
    convert: Callable[[Any], Any]


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


def _whole(bits: int) -> Callable[[Any], int]:
    bound = 1 << (bits - 1)

    def convert(value: Any) -> int:
        number = value if isinstance(value, int) and not isinstance(value, bool) else _number(value)
        if isinstance(number, float) and not number.is_integer():
            raise Misfit("a number with a fraction")
        if not -bound <= number < bound:
            raise Misfit("an integer out of range")
        return int(number)

    return convert


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Misfit(json_kind(value))
    return value


def _instant(value: Any) -> dt.datetime:
    try:
        instant = dt.datetime.fromisoformat(_text(value))
    except ValueError as error:
        raise Misfit("a string in another form") from error
    return instant if instant.tzinfo is None else instant.astimezone(dt.UTC).replace(tzinfo=None)


NULL = type(None)
KINDS: dict[str, Kind] = {
    "string": Kind("a string or null", frozenset({str, NULL}), _text),
    "double": Kind("a number or null", frozenset({float, int, NULL}), _number),
    "float": Kind("a number or null", frozenset({float, int, NULL}), _number),
    "integer": Kind("a 32-bit integer or null", frozenset({int, NULL}), _whole(32)),
    "long": Kind("a 64-bit integer or null", frozenset({int, NULL}), _whole(64)),
    "boolean": Kind("true, false or null", frozenset({bool, NULL}), _truth),
    "datetime": Kind("an ISO 8601 timestamp as a string, or null", frozenset({NULL}), _instant),
}


def read_column(column: Column, values: Values) -> pa.Array:
    """Read the values of one column; null and NaN are both missing.

    Raises:
        RequestInvalid: A value is not of the column's type; names the field and the row.
    """
    kind, target = KINDS[column.dtype], ARROW_TYPES[column.dtype]
    if kind.plain.issuperset(map(type, values)):
        try:
            return pa.array(values, target, from_pandas=True)
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
            pass  # a value out of range: the slow path reads it or says which row it is in
    return pa.array(_converted(column.name, values, kind), target, from_pandas=True)


def _converted(name: str, values: Values, kind: Kind) -> list[Any]:
    out: list[Any] = []
    for row, value in enumerate(values):
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        try:
            out.append(None if missing else kind.convert(value))
        except Misfit as error:
            raise RequestInvalid(f"field {name!r}, row {row}: expected {kind.expected}, got {error}") from error
    return out


def build_batch(columns: Mapping[str, Values], signature: Signature) -> pa.RecordBatch:
    """Build a batch of exactly the signature's schema.

    Args:
        columns: Values by name; names beyond the signature are left out, as MLflow does.
        signature: What the model declares. A column that is not required may be left out and is then null.

    Raises:
        RequestInvalid: Columns are missing, differ in length, or hold values of another type.
    """
    require(columns.keys(), signature)
    wanted = {c.name: columns[c.name] for c in signature.inputs if c.name in columns}
    lengths = {name: len(values) for name, values in wanted.items()}
    if len(set(lengths.values())) > 1:
        first, *others = lengths
        other = next(name for name in others if lengths[name] != lengths[first])
        raise RequestInvalid(
            f"columns differ in length: {first!r} has {lengths[first]} values, {other!r} has {lengths[other]}"
        )
    rows = next(iter(lengths.values()), 0)
    schema = signature.schema
    arrays = [
        read_column(column, wanted[column.name]) if column.name in wanted else pa.nulls(rows, field.type)
        for column, field in zip(signature.inputs, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def require(names: Container[str], signature: Signature) -> None:
    """Check that `names` holds every required column, or raise `RequestInvalid`."""
    missing = [c for c in signature.inputs if c.required and c.name not in names]
    if missing:
        listed = ", ".join(f"{column.name!r} ({column.dtype})" for column in missing[:SHOWN_COLUMNS])
        more = f" and {len(missing) - SHOWN_COLUMNS} more" if len(missing) > SHOWN_COLUMNS else ""
        raise RequestInvalid(f"the request lacks {len(missing)} of the model's input columns: {listed}{more}")


def empty_batch(signature: Signature) -> pa.RecordBatch:
    """Return a batch of the signature's schema without rows."""
    schema = signature.schema
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
