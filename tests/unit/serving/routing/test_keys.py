"""The key of a request: the same entity as in the batch, whatever it is sent as."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.arms import Split
from lockstep.scoring.signature import Signature, arrow_type
from lockstep.serving.columns import build_rows
from lockstep.serving.routing.keys import FEW_ROWS, holds_key, positions, read_key
from lockstep.serving.rows import to_batch
from tests.unit.serving.toy import INPUTS, SIGNATURE

MOMENT = dt.datetime.fromisoformat
KINDS: dict[str, Any] = {
    "string": st.text('a0 {"é🙂\n', max_size=6),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "float": st.floats(-1e30, 1e30),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "datetime": st.datetimes(MOMENT("1950-01-01"), MOMENT("2100-01-01")).map(dt.datetime.isoformat),
}
BY = tuple(column.name for column in INPUTS if column.name != "note")
VALUES = st.fixed_dictionaries({c.name: st.none() | KINDS[c.dtype] for c in INPUTS if c.name != "note"})


def in_a_table(rows: list[dict[str, Any]], split: Split) -> list[float]:
    """Where the batch has the rows: columns of the types that its table has."""
    arrays = []
    for column in INPUTS:
        values = [row.get(column.name) for row in rows]
        if column.dtype == "datetime":
            values = [None if value is None else dt.datetime.fromisoformat(value) for value in values]
        if column.dtype == "float":
            values = [None if value is None else np.float32(value) for value in values]
        arrays.append(pa.array(values, arrow_type(column)))
    found: list[float] = split.positions(pa.table(arrays, names=SIGNATURE.names)).tolist()
    return found


@given(st.lists(VALUES, max_size=5))
def test_rows_and_headers_are_where_the_batch_has_them(rows: list[dict[str, Any]]) -> None:
    split = Split("s", BY)
    expected = in_a_table(rows, split)
    decoded = build_rows({name: [row[name] for row in rows] for name in BY}, SIGNATURE)
    assert positions(decoded, SIGNATURE, split) == expected
    assert positions(to_batch([decoded], SIGNATURE), SIGNATURE, split) == expected
    keys = [read_key(json.dumps(row), BY, inputs=SIGNATURE.inputs_by_name, declared={}) for row in rows]
    assert [split.position(key) for key in keys] == expected


@given(VALUES)
def test_many_rows_are_where_few_are(row: dict[str, Any]) -> None:
    split = Split("s", BY)
    many = build_rows({name: [row[name]] * (FEW_ROWS + 1) for name in BY}, SIGNATURE)
    assert set(positions(many, SIGNATURE, split)) == set(in_a_table([row], split))


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("N14228", "string", "N14228"),
        ("17", "string", "17"),
        ('"17"', "string", "17"),
        ("17", "long", 17),
        ("17.0", "long", 17),
        ("true", "boolean", True),
        ("null", "long", None),
        ("2024-01-02T03:04:05+01:00", "datetime", MOMENT("2024-01-02T02:04:05")),
        ('{"x": "17"}', "string", "17"),
    ],
)
def test_a_bare_value_is_read_as_the_models_input(text: str, dtype: str, value: object) -> None:
    assert read_key(text, ("x",), inputs={"x": Column(name="x", dtype=dtype)}, declared={}) == {"x": value}


@pytest.mark.parametrize(
    ("text", "declared", "value"),
    [
        ("17", None, 17),
        ("-1.5", None, -1.5),
        ('"17"', None, "17"),
        ("N14228", None, "N14228"),
        ("007", None, "007"),
        ("NaN", None, "NaN"),
        ("1e999", None, "1e999"),
        ("17", "string", "17"),
        ("17", "long", 17),
        ("2024-01-02", "date", "2024-01-02"),
        ("2024-01-02T03:04", "timestamp", MOMENT("2024-01-02T03:04")),
    ],
)
def test_without_an_input_json_and_the_spec_say_what_it_is(text: str, declared: str | None, value: object) -> None:
    kinds = {"x": declared} if declared else {}
    assert read_key(f" {text} ", ("x",), inputs={}, declared=kinds) == {"x": value}


@pytest.mark.parametrize(
    ("text", "by", "message"),
    [
        ("17", ("a", "b"), "must be a JSON object of the columns 'a', 'b'"),
        ('{"a": 1}', ("a", "b"), "and nothing else"),
        ('{"a": 1, "b": 2, "c": 3}', ("a", "b"), "and nothing else"),
        ('{"a": 1, "a": 2}', ("a",), "is not valid JSON"),
        ('{"a": 1', ("a",), "is not valid JSON"),
        ('{"a": NaN}', ("a",), "is not valid JSON"),
        ('"a', ("a",), "is not valid JSON"),
        ("[" * 9999, ("a", "b"), "must be a JSON object"),
        ("", ("a",), "got nothing"),
        ('{"a": [4711]}', ("a",), "column 'a' holds an array"),
        ('{"flight": "4711"}', ("flight",), "expected a 64-bit integer or null, got a string"),
        ("4711.5", ("flight",), "a number with a fraction"),
        ("4711-13-01", ("moment",), "ISO 8601"),
    ],
)
def test_a_wrong_key_is_refused_without_its_value(text: str, by: tuple[str, ...], message: str) -> None:
    with pytest.raises(RequestInvalid, match="header x-lockstep-key") as caught:
        read_key(text, by, inputs=SIGNATURE.inputs_by_name, declared={"moment": "timestamp"})
    assert message in str(caught.value)
    assert "4711" not in str(caught.value)


def test_rows_hold_a_key_whose_columns_are_all_plain_inputs() -> None:
    tensor = Signature((Column(name="x", dtype="float", shape=(2,)),), ())
    assert holds_key(("flight", "carrier"), SIGNATURE)
    assert not holds_key(("flight", "tail"), SIGNATURE)
    assert not holds_key(("x",), tensor)
