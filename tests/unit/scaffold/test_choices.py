"""The key is guessed from what tells rows apart."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lockstep.scaffold.choices import likely_keys


def test_an_id_comes_before_what_is_unique_by_chance() -> None:
    rows = pa.table({"amount": [10, 20, 30], "order_id": [3, 1, 2], "kind": ["a", "a", "b"]})
    assert likely_keys(rows, day=None, inputs=["amount"])[:2] == [("order_id",), ("amount",)]


def test_columns_together_and_never_floats_or_nulls() -> None:
    rows = pa.table(
        {"shop": [1, 1, 2, 2], "item": ["a", "b", "a", "b"], "price": [1.0, 2.0, 3.0, 4.0], "lot": [1, 2, 3, None]}
    )
    assert likely_keys(rows, day=None, inputs=[]) == [("shop", "item")]


def test_rows_that_are_there_twice_have_no_key() -> None:
    assert likely_keys(pa.table({"a": [1, 1], "b": ["x", "x"]}), day=None, inputs=[]) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from("ab")), min_size=1, max_size=20))
def test_each_key_tells_all_rows_apart_and_none_can_lose_a_column(rows: list[tuple[int, int, str]]) -> None:
    table = pa.table({"one": [r[0] for r in rows], "two": [r[1] for r in rows], "three": [r[2] for r in rows]})
    for key in likely_keys(table, day=None, inputs=[], most=10):
        values = [tuple(row[name] for name in key) for row in table.to_pylist()]
        assert len(set(values)) == len(values)
        for left_out in key if len(key) > 1 else ():
            fewer = [tuple(row[name] for name in key if name != left_out) for row in table.to_pylist()]
            assert len(set(fewer)) < len(fewer)
