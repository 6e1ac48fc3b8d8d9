"""Values become the signature's types or are refused with field and row, never with the value."""

import datetime as dt
import math

import pyarrow as pa
import pytest

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import ARROW_TYPES, Signature
from lockstep.serving.columns import KINDS, build_rows, read_column
from lockstep.serving.rows import empty_rows, to_batch

NAN = float("nan")


def batch_of(columns: dict[str, list[object]], signature: Signature) -> pa.RecordBatch:
    return to_batch([build_rows(columns, signature)], signature)


def test_every_signature_type_has_a_kind() -> None:
    assert KINDS.keys() == ARROW_TYPES.keys()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("double", [1, 2.5, None, NAN], [1.0, 2.5, None, None]),
        ("double", [2**53 + 1], [float(2**53)]),
        ("double", [1e308 * 10, -math.inf], [math.inf, -math.inf]),
        ("float", [0.1, 2**40], [0.10000000149011612, float(2**40)]),
        ("integer", [1, None, NAN, 2.0, -(2**31)], [1, None, None, 2, -(2**31)]),
        ("long", [2**63 - 1, 3.0], [2**63 - 1, 3]),
        ("boolean", [True, None, False], [True, None, False]),
        ("string", ["a", None, NAN, ""], ["a", None, None, ""]),
        (
            "datetime",
            ["2013-08-01T05:15:00", "2013-08-01 01:15:00-04:00", None],
            [dt.datetime.fromisoformat("2013-08-01T05:15:00")] * 2 + [None],
        ),
    ],
)
def test_values_are_read_as_the_declared_type(dtype: str, values: list[object], expected: list[object]) -> None:
    signature = Signature((Column(name="x", dtype=dtype),), ())
    column = to_batch([build_rows({"x": values}, signature)], signature).column("x")
    assert column.type == ARROW_TYPES[dtype]
    assert column.to_pylist() == expected


@pytest.mark.parametrize(
    ("dtype", "bad", "got"),
    [
        ("double", "12.5", "a string"),
        ("double", True, "a boolean"),
        ("double", [1.0], "an array"),
        ("double", {"a": 1}, "an object"),
        ("double", 10**400, "a number out of range"),
        ("integer", 1.5, "a number with a fraction"),
        ("integer", 2**31, "an integer out of range"),
        ("integer", math.inf, "a number with a fraction"),
        ("long", 2**63, "an integer out of range"),
        ("long", True, "a boolean"),
        ("boolean", 1, "an integer"),
        ("string", 7, "an integer"),
        ("string", "\ud800", "a string that is not valid Unicode"),
        ("datetime", "yesterday", "a string in another form"),
        ("datetime", 1375333200, "an integer"),
    ],
)
def test_a_misfit_names_field_and_row_and_not_the_value(dtype: str, bad: object, got: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        read_column(Column(name="fare", dtype=dtype), [None, bad])
    message = str(caught.value)
    assert message.startswith("field 'fare', row 1: expected ")
    assert message.endswith(f"got {got}")
    assert "12.5" not in message
    assert "yesterday" not in message


def test_columns_are_ordered_and_extras_dropped(signature: Signature, row: dict[str, object]) -> None:
    shuffled = {name: [row[name]] for name in sorted(row, reverse=True)}
    batch = batch_of({**shuffled, "colour": ["red", "blue"]}, signature)
    assert batch.schema == signature.schema
    assert batch.num_rows == 1


def test_a_column_that_is_not_required_may_be_left_out(signature: Signature, row: dict[str, object]) -> None:
    del row["note"]
    assert batch_of({name: [value] for name, value in row.items()}, signature).column("note").to_pylist() == [None]


def test_missing_columns_are_named_with_their_type(signature: Signature, row: dict[str, object]) -> None:
    del row["seats"], row["at"]
    with pytest.raises(RequestInvalid, match=r"lacks 2 of .*'seats' \(integer\), 'at' \(datetime\)"):
        batch_of({name: [value] for name, value in row.items()}, signature)


def test_many_missing_columns_are_not_all_listed() -> None:
    wide = Signature(tuple(Column(name=f"c{i}", dtype="double") for i in range(40)), ())
    with pytest.raises(RequestInvalid, match=r"lacks 40 .* and 30 more$"):
        batch_of({}, wide)


def test_columns_of_different_length_are_refused(signature: Signature, row: dict[str, object]) -> None:
    columns = {name: [value] for name, value in row.items()}
    with pytest.raises(RequestInvalid, match="'carrier' has 1 values, 'rate' has 2"):
        batch_of({**columns, "rate": [1.0, 2.0]}, signature)


def test_an_empty_batch_has_the_schema(signature: Signature) -> None:
    batch = empty_rows(signature)
    assert (batch.num_rows, batch.schema) == (0, signature.schema)
    assert isinstance(batch, pa.RecordBatch)
