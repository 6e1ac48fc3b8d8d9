"""Rows in any form become the model's columns, and a value means what it means to the endpoint."""

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.client.errors import RowsUnfit
from lockstep.client.fitting import fitted
from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from tests.unit.serving.toy import json_batch

NUMBER, RATE = Column(name="number", dtype="double"), Column(name="rate", dtype="float")
SEATS, FLIGHT = Column(name="seats", dtype="integer"), Column(name="flight", dtype="long")
TEXT, WET = Column(name="text", dtype="string"), Column(name="wet", dtype="boolean")
PICTURE = Column(name="picture", dtype="float", shape=(2, 2))
PLAIN = (NUMBER, RATE, SEATS, FLIGHT, TEXT, WET)


def one(values: Any, column: Column) -> list[Any]:
    found: list[Any] = fitted({column.name: values}, [column]).column(column.name).to_pylist()
    return found


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([1.0, 2.0**31, 1e39])


@given(column=st.sampled_from(PLAIN), values=st.lists(VALUES, min_size=1, max_size=4))
def test_a_list_is_read_as_the_endpoint_reads_it(column: Column, values: list[Any]) -> None:
    try:
        body = json.dumps({"inputs": {column.name: values}}).encode()
        expected = json_batch(body, Signature((column,), ())).column(0).to_pylist()
    except RequestInvalid:
        with pytest.raises(RowsUnfit):
            one(values, column)
        return
    assert one(values, column) == expected


@pytest.mark.parametrize(
    ("column", "array", "expected"),
    [
        (SEATS, pa.array([1, None, 3]), [1, None, 3]),
        (SEATS, pa.array([1.0, math.nan]), [1, None]),
        (FLIGHT, pa.array([2], pa.uint8()), [2]),
        (NUMBER, pa.array([2**53 + 1, 0]), [2.0**53, 0.0]),
        (NUMBER, pa.array([0.1, None], pa.float32()), [float(np.float32(0.1)), None]),
        (NUMBER, pa.array([math.inf]), [math.inf]),
        (RATE, pa.array([0.1, math.nan]), [float(np.float32(0.1)), None]),
        (TEXT, pa.array(["a", None]).dictionary_encode(), ["a", None]),
        (TEXT, pa.array(["ä"], pa.large_string()), ["ä"]),
        (TEXT, pa.nulls(1), [None]),
        (TEXT, pa.array([1704164400], pa.timestamp("s")), ["2024-01-02T03:00:00"]),
        (TEXT, pa.array([dt.date(2024, 1, 2), None]), ["2024-01-02", None]),
        (WET, pa.array([True, None]), [True, None]),
        (PICTURE, pa.array([[1, 2, 3, 4]], pa.list_(pa.int32())), [[1, 2, 3, 4]]),
        (NUMBER, np.array([1, 2], dtype="int16"), [1.0, 2.0]),
        (NUMBER, np.array([[1.5], [math.nan]]), [1.5, None]),
        (TEXT, np.array(["a", None], dtype=object), ["a", None]),
        (PICTURE, np.ones((1, 2, 2)), [[1, 1, 1, 1]]),
        (PICTURE, [[[1, 2], [3, None]]], None),
        (TEXT, [dt.datetime(2024, 1, 2, tzinfo=dt.UTC)], ["2024-01-02T00:00:00+00:00"]),
        (SEATS, [np.int64(4)], [4]),
        (SEATS, pd.Series([1.0, None]), [1, None]),
        (TEXT, pd.Series(["a", None]), ["a", None]),
    ],
)
def test_columns_of_other_kinds(column: Column, array: Any, expected: list[Any] | None) -> None:
    got = one(array, column)
    if expected is None:
        (row,) = got
        assert row[:3] == [1, 2, 3]
        assert math.isnan(row[3])
    else:
        assert got == expected


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (SEATS, pa.array([1, 2**31]), "column 'seats', row 1: expected a 32-bit integer or null"),
        (SEATS, pa.array([0.5]), "row 0: .* got a number with a fraction"),
        (RATE, pa.array([0.0, 1e39]), "column 'rate', row 1: .* out of range"),
        (NUMBER, pa.array(["secret"]), "column 'number': expected double, got Arrow's string"),
        (TEXT, pa.array([4711]), "column 'text': expected text, got Arrow's int64"),
        (WET, pa.array([1]), "column 'wet': expected boolean"),
        (WET, ["secret"], "column 'wet', row 0: expected true, false or null, got a string"),
        (TEXT, [b"secret"], "column 'text', row 0"),
        (PICTURE, np.ones((1, 3)), r"expected float tensor of shape \(2, 2\) in each row"),
        (PICTURE, pa.array([None], pa.list_(pa.float32())), "row 0: .* got null"),
        (PICTURE, [[1, 2, 3]], "column 'picture'"),
        (NUMBER, 5, "column 'number': expected double"),
    ],
)
def test_what_does_not_fit_is_named_and_not_shown(column: Column, values: Any, message: str) -> None:
    with pytest.raises(RowsUnfit, match=message) as caught:
        one(values, column)
    assert "secret" not in str(caught.value)
    assert "4711" not in str(caught.value)


def test_all_forms_of_rows_are_the_same() -> None:
    records = [{"text": "a", "number": 1.5, "more": object()}, {"text": None, "number": None}]
    columns = {"text": ["a", None], "number": [1.5, None]}
    forms = [records, columns, pa.table(columns), pa.record_batch(columns), pd.DataFrame(columns)]
    first, *others = (fitted(form, [TEXT, NUMBER, SEATS]) for form in forms)
    assert first.to_pydict() == columns
    assert all(other.equals(first) for other in others)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a"}, {}], "row 1 lacks column 'text'"),
        ([{"text": "a"}, 5], "row 1: expected a record, got int"),
        ("text", "a table of Arrow or pandas"),
        ({"other": [1]}, "none of the model's inputs: text, number"),
        ({"text": ["a"], "number": [1, 2]}, "columns differ in length: text has 1, number has 2"),
    ],
)
def test_rows_in_no_form_are_one_error(rows: Any, message: str) -> None:
    with pytest.raises(RowsUnfit, match=message):
        fitted(rows, [TEXT, NUMBER])
