"""Rows of several requests become one batch, whatever form each came in."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.columns import build_rows
from lockstep.serving.rows import PlainRows, Rows, empty_rows, slice_rows, to_batch
from lockstep.serving.tensor_values import read_tensor

SIGNATURE = Signature(
    (
        Column(name="a", dtype="double"),
        Column(name="b", dtype="double"),
        Column(name="name", dtype="string"),
        Column(name="n", dtype="long"),
        Column(name="picture", dtype="float", shape=(2, 2)),
    ),
    (Column(name="score", dtype="double"),),
)
PICTURE = [[1.0, 2.0], [3.0, None]]


def rows(count: int, first: int = 0) -> PlainRows:
    numbers = list(range(first, first + count))
    columns: dict[str, Any] = {
        "a": [float(n) for n in numbers],
        "b": [None if n % 2 else 0.5 for n in numbers],
        "name": [f"n{n}" for n in numbers],
        "n": numbers,
        "picture": [[[1.0, 2.0], [3.0, 4.0]]] * count,
    }
    return build_rows(columns, SIGNATURE)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=8))
def test_the_order_of_requests_and_rows_is_kept(sizes: list[tuple[int, bool]]) -> None:
    parts: list[Rows] = []
    expected: list[int] = []
    for number, (count, as_batch) in enumerate(sizes):
        part = rows(count, 10 * number)
        parts.append(to_batch([part], SIGNATURE) if as_batch else part)
        expected += range(10 * number, 10 * number + count)
    batch = to_batch(parts, SIGNATURE)
    assert batch.schema == SIGNATURE.schema
    assert batch.column("n").to_pylist() == expected
    assert batch.column("a").to_pylist() == [float(n) for n in expected]
    assert batch.column("b").to_pylist() == [None if n % 2 else 0.5 for n in expected]
    assert batch.column("name").to_pylist() == [f"n{n}" for n in expected]
    assert len(batch.column("picture")) == len(expected)


@given(st.integers(1, 9), st.integers(0, 8), st.integers(1, 9))
def test_a_slice_is_what_a_batch_would_slice(count: int, start: int, length: int) -> None:
    plain = rows(count)
    if start < count:
        sliced = to_batch([slice_rows(plain, start, length)], SIGNATURE)
        assert sliced.equals(to_batch([plain], SIGNATURE).slice(start, length))


def test_no_rows_are_a_batch_of_the_schema() -> None:
    assert to_batch([rows(0)], SIGNATURE).schema == SIGNATURE.schema
    assert to_batch([empty_rows(SIGNATURE), rows(2)], SIGNATURE).num_rows == 2


def test_a_tensor_is_nested_by_its_shape_or_flat() -> None:
    column = SIGNATURE.inputs[-1]
    nested, flat = read_tensor(column, [PICTURE]), read_tensor(column, [[1.0, 2.0, 3.0, None]])
    assert nested.shape == (1, 2, 2)
    np.testing.assert_array_equal(nested, flat)
    assert pa.types.is_fixed_size_list(to_batch([rows(1)], SIGNATURE).schema.field("picture").type)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([PICTURE, [[1.0, 2.0]]], r"row 1: expected an array of 2 at depth 1 .*, got an array of 1"),
        ([[[1.0, 2.0], [3.0]]], r"row 0: expected an array of 2 at depth 2 .*, got an array of 1"),
        ([PICTURE, "4711"], r"row 1: expected an array .*, got a string"),
        ([[[1.0, 2.0], [3.0, "4711"]]], "row 0: expected elements of type float, got a string"),
        ([[[1.0, 2.0], [3.0, True]]], "row 0: expected elements of type float, got a boolean"),
    ],
)
def test_a_tensor_of_another_shape_or_type_is_refused_without_its_values(values: Any, message: str) -> None:
    with pytest.raises(RequestInvalid, match=message) as caught:
        read_tensor(SIGNATURE.inputs[-1], values)
    assert "4711" not in str(caught.value)


def test_an_element_out_of_range_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="out of range of uint8"):
        read_tensor(Column(name="codes", dtype="uint8", shape=(2,)), [[1, 300]])
