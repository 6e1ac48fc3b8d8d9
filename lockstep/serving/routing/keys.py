"""The key of a request, by which its arm is found: what a header says, or the values of its rows.

A value has to hash as it does in the table of the batch. So a column that is an input of the model is read as that
input, and a text of a column that the spec declares as a moment is a moment.
"""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.arms import Split
from lockstep.scoring.signature import Signature
from lockstep.serving.columns import read_column
from lockstep.serving.json_body import json_kind
from lockstep.serving.rows import PlainRows, Rows, Values, to_batch

HEADER = "x-lockstep-key"
# Up to so many rows are hashed one by one, which is faster for a few.
FEW_ROWS = 16
# Types, of inputs and of a spec's sources, whose values are written as text.
TEXTUAL = frozenset({"string", "datetime", "date", "timestamp"})

Key = Mapping[str, object]


def only_key(values: Sequence[str | None]) -> str | None:
    """Return the key that was sent along.

    Args:
        values: Of all headers of its name; none for one that is not ASCII.

    Raises:
        RequestInvalid: There are several, or it is not ASCII.
    """
    if not values:
        return None
    if len(values) > 1:
        raise _invalid("is given twice")
    if values[0] is None:
        raise _invalid("must be ASCII; write other characters as JSON escapes")
    return values[0]


def read_key(text: str, by: Sequence[str], *, inputs: Mapping[str, Column], declared: Mapping[str, str]) -> Key:
    """Read the key that a header names.

    Args:
        text: A JSON object of the columns; of one column also its bare value: JSON, or else text.
        by: The columns.
        inputs: Of the model, by name.
        declared: Types of columns that are no inputs, as far as the spec's sources say.

    Returns:
        Values by column, as `Split.position` takes them.

    Raises:
        RequestInvalid: It lacks a column, has another one, or a value of another type.
    """
    given = _given(text.strip(), by, textual=len(by) == 1 and _kind(by[0], inputs, declared) in TEXTUAL)
    return {name: _typed(name, given[name], column=inputs.get(name), declared=declared.get(name)) for name in by}


def positions(rows: Rows, signature: Signature, split: Split) -> list[float]:
    """Return the position of each row; it equals that of the same row in a table.

    Args:
        rows: Decoded for the signature, of which all columns of the split are plain inputs.
        signature: Of the model.
        split: The trial's.
    """
    names, by = signature.names, split.by
    places = [names.index(name) for name in by]
    if isinstance(rows, PlainRows) and rows.num_rows <= FEW_ROWS:
        columns = [_exact(rows.columns[place], signature.inputs[place].dtype) for place in places]
        return [split.position(dict(zip(by, values, strict=True))) for values in zip(*columns, strict=True)]
    chosen = Signature(tuple(signature.inputs[place] for place in places), ())
    if isinstance(rows, PlainRows):
        few = PlainRows(tuple(rows.columns[place] for place in places), rows.num_rows, rows.nbytes)
        found: list[float] = split.positions(to_batch([few], chosen)).tolist()
    else:
        found = split.positions(rows.select(places)).tolist()
    return found


def holds_key(by: Sequence[str], signature: Signature) -> bool:
    """Whether rows of a signature name the key themselves: all its columns are inputs, and none a tensor."""
    inputs = signature.inputs_by_name
    return all(name in inputs and inputs[name].shape is None for name in by)


def _kind(name: str, inputs: Mapping[str, Column], declared: Mapping[str, str]) -> str | None:
    return inputs[name].dtype if name in inputs else declared.get(name)


def _given(text: str, by: Sequence[str], *, textual: bool) -> Mapping[str, Any]:
    """Return the values as they were sent."""
    if text.startswith("{"):
        found = _parsed(text)
        if found.keys() != set(by):
            raise _invalid(f"must be a JSON object of {_listed(by)} and nothing else")
        given: dict[str, Any] = found
        return given
    if len(by) > 1:
        raise _invalid(f"must be a JSON object of {_listed(by)}")
    if not text:
        raise _invalid(f"must be the value of {_listed(by)}, got nothing")
    if textual and not text.startswith('"'):
        return {by[0]: text}
    try:
        return {by[0]: _parsed(text)}
    except RequestInvalid:
        if text.startswith('"'):
            raise
        return {by[0]: text}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _invalid("is not valid JSON") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def _typed(name: str, value: Any, *, column: Column | None, declared: str | None) -> object:
    """Return a value as the type that it has in the table."""
    if column is not None and column.shape is None:
        try:
            values = read_column(column, [value])
        except RequestInvalid as error:
            raise _invalid(f"does not fit the model: {error}") from error
        return _exact(values, column.dtype)[0]
    if isinstance(value, dict | list):
        raise _invalid(f"must hold texts, numbers, booleans or null; column {name!r} holds {json_kind(value)}")
    if declared == "timestamp" and isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value)
        except ValueError as error:
            raise _invalid(f"must hold an ISO 8601 timestamp for column {name!r}") from error
    return value


def _exact(values: Values, dtype: str) -> Values:
    """Return values in the width of their column: of a 32-bit float the shortest text is another."""
    if dtype != "float":
        return values
    return [None if value is None else np.float32(value) for value in values]


def _listed(by: Sequence[str]) -> str:
    return ("the column " if len(by) == 1 else "the columns ") + ", ".join(map(repr, by))


def _invalid(problem: str) -> RequestInvalid:
    return RequestInvalid(f"header {HEADER} {problem}")
