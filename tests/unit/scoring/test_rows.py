"""Rows that no model can be given: found one by one, and only those."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.rows import bad_rows, fitting_rows
from lockstep.scoring.signature import Signature, select


def found(column: Column, array: pa.Array) -> dict[int, str]:
    """Bad rows of a batch of one column."""
    signature = Signature((column,), (column,))
    batch = select(pa.RecordBatch.from_arrays([array], [column.name]), signature, where="a test")
    return {row: reason.partition(":")[0] for row, reason in bad_rows(batch, signature).items()}


def raw_texts(values: list[bytes | None]) -> pa.Array:
    """Text that nobody has checked."""
    binary = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), binary.buffers(), null_count=binary.null_count)


@given(st.lists(st.one_of(st.none(), st.sampled_from([b"a", b"\xff", "é".encode(), b"\xe2\x28", b""])), max_size=30))
def test_text_that_is_no_utf8(values: list[bytes | None]) -> None:
    bad = {i for i, value in enumerate(values) if value in (b"\xff", b"\xe2\x28")}
    assert found(Column(name="t", dtype="string"), raw_texts(values)) == dict.fromkeys(bad, "invalid_utf8")


@pytest.mark.parametrize("large", [False, True])
def test_text_that_is_no_utf8_inside_tensors(large: bool) -> None:
    pairs = [[b"a", b"\xff"], [b"a", "é".encode()], None, [None, b""], [b"\xff", b"\xe2\x28"]]
    flat = raw_texts([text for pair in pairs if pair is not None for text in pair])
    texts = flat.cast(pa.large_string()) if large else flat
    offsets = pa.array([0, 2, None, 4, 6, 8], pa.int32())
    column = Column(name="t", dtype="string", shape=(2,))
    expected = {0: "invalid_utf8", 2: "null_refused", 4: "invalid_utf8"}
    assert found(column, pa.ListArray.from_arrays(offsets, texts)) == expected


@given(st.lists(st.one_of(st.none(), st.lists(st.floats(width=32), max_size=4)), max_size=30))
def test_tensors_of_a_wrong_length(values: list[list[float] | None]) -> None:
    expected = {}
    for i, value in enumerate(values):
        if value is None:
            expected[i] = "null_refused"
        elif len(value) != 2:
            expected[i] = "wrong_length"
    column = Column(name="v", dtype="float", shape=(2,))
    assert found(column, pa.array(values, pa.list_(pa.float32()))) == expected


def test_a_fixed_size_list_of_another_size_is_wrong_in_every_row() -> None:
    column = Column(name="v", dtype="float", shape=(2,))
    assert found(column, pa.array([[1, 2, 3]] * 2, pa.list_(pa.float32(), 3))) == dict.fromkeys(
        range(2), "wrong_length"
    )


def test_nulls_inside_tensors() -> None:
    values = [[1, 2], [None, 2], [3, None], None]
    integers = Column(name="v", dtype="long", shape=(2,))
    assert found(integers, pa.array(values, pa.list_(pa.int64()))) == dict.fromkeys((1, 2, 3), "null_refused")
    floats = Column(name="v", dtype="double", shape=(2,))
    assert found(floats, pa.array(values, pa.list_(pa.float64()))) == {3: "null_refused"}


@pytest.mark.parametrize("dtype", ["integer", "long", "boolean"])
def test_a_null_where_the_type_has_no_place_for_it(dtype: str) -> None:
    array = pa.array([True, None], pa.bool_()) if dtype == "boolean" else pa.array([1, None], pa.int32())
    assert found(Column(name="n", dtype=dtype), array) == {1: "null_refused"}
    assert found(Column(name="n", dtype=dtype, required=False), array) == {}


@pytest.mark.parametrize("array", [pa.array([1.0, None]), pa.array([np.nan]), pa.nulls(3)])
def test_floats_take_nulls(array: pa.Array) -> None:
    assert found(Column(name="x", dtype="double"), array) == {}


@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53, 2**53 + 1])), max_size=40)
)
def test_whole_numbers_that_a_double_cannot_hold(values: list[int | None]) -> None:
    """Arrow lets a whole number become a double up to 2^53, whatever lies beyond."""
    column = Column(name="x", dtype="double")
    signature = Signature((column,), (column,))
    chosen = select(pa.record_batch({"x": pa.array(values, pa.int64())}), signature, where="a test")
    fitting = fitting_rows(chosen, signature)
    bad = [row for row, value in enumerate(values) if value is not None and abs(value) > 2**53]
    assert list(fitting.reasons) == bad
    assert all(reason.startswith("inexact: column x is int64") for reason in fitting.reasons.values())
    kept = range(len(values)) if fitting.places is None else fitting.places.tolist()
    assert fitting.batch.column(0).to_pylist() == [values[row] for row in kept]


def test_times_that_a_signature_cannot_hold() -> None:
    column = Column(name="t", dtype="datetime")
    signature = Signature((column,), (column,))
    times = pa.array([1_000, 1_001, None, -2_000, -1], pa.timestamp("ns"))
    fitting = fitting_rows(select(pa.record_batch({"t": times}), signature, where="a test"), signature)
    assert list(fitting.reasons) == [1, 4]
    assert fitting.batch.column(0).cast(pa.int64()).to_pylist() == [1, None, -2]


def test_a_row_that_is_bad_twice_is_named_once() -> None:
    columns = (Column(name="n", dtype="long"), Column(name="t", dtype="datetime"))
    signature = Signature(columns, columns)
    batch = pa.record_batch({"n": pa.array([None, 1, 2], pa.int32()), "t": pa.array([1, 1, 1_000], pa.timestamp("ns"))})
    fitting = fitting_rows(select(batch, signature, where="a test"), signature)
    assert {row: reason.partition(":")[0] for row, reason in fitting.reasons.items()} == {
        0: "null_refused",
        1: "inexact",
    }
    assert fitting.batch.column(0).to_pylist() == [2]
