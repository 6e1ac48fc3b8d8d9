import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.publish.online.keys import KeyColumn, NotAKey, key_kind, request_keys, table_keys

TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), st.text(max_size=8)),
    "integer": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "boolean": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates()),
    "moment": (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(dt.UTC))),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Any]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=3))
    rows = draw(st.integers(0, 8))
    columns = [draw(st.lists(st.none() | TYPES[kind][1], min_size=rows, max_size=rows)) for kind in kinds]
    return kinds, columns


def key_of(kinds: list[str]) -> list[KeyColumn]:
    return [KeyColumn(f"k{place}", kind) for place, kind in enumerate(kinds)]  # type: ignore[arg-type]


@given(tables())
def test_a_table_and_a_request_give_the_same_key_and_no_two_keys_are_one(
    table: tuple[list[str], list[list[Any]]],
) -> None:
    kinds, columns = table
    arrays = [pa.array(values, TYPES[kind][0]) for kind, values in zip(kinds, columns, strict=True)]
    assert [key_kind(array.type) for array in arrays] == kinds
    keys = table_keys(arrays, key_of(kinds))
    assert keys == request_keys(columns, key_of(kinds))
    rows = list(zip(*columns, strict=True))
    assert len(set(keys)) == len(set(rows))


@pytest.mark.parametrize("width", [pa.int8(), pa.uint16(), pa.int32(), pa.uint64(), pa.int64()])
def test_the_width_of_a_number_is_no_part_of_a_key(width: pa.DataType) -> None:
    assert table_keys([pa.array([7, None], width)], key_of(["integer"])) == [b"1:7", b"~"]


def test_times_are_one_key_whatever_their_zone_and_unit() -> None:
    noon = dt.datetime(2024, 3, 5, 12, tzinfo=dt.UTC)
    (expected,) = request_keys([[noon]], key_of(["moment"]))
    for kind in (pa.timestamp("s"), pa.timestamp("ms", "Europe/Paris"), pa.timestamp("ns", "UTC")):
        (array,) = [pa.array([int(noon.timestamp())], pa.int64()).cast(pa.timestamp("s")).cast(kind)]
        assert table_keys([array], key_of(["moment"])) == [expected]
    for text in ("2024-03-05T12:00:00Z", "2024-03-05T13:00:00+01:00", "2024-03-05T12:00:00"):
        assert request_keys([[text]], key_of(["moment"])) == [expected]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", 5),
        ("integer", "5"),
        ("integer", 5.5),
        ("integer", True),
        ("integer", float("nan")),
        ("boolean", 1),
        ("day", "2024-3-5"),
        ("day", dt.datetime(2024, 3, 5, tzinfo=dt.UTC)),
        ("moment", 1_700_000_000),
        ("text", "\ud800"),
    ],
)
def test_a_value_of_another_kind_is_named_by_column_and_row(kind: str, value: Any) -> None:
    with pytest.raises(NotAKey, match=r"key column 'k0' of row 1: expected") as caught:
        request_keys([[None, value]], key_of([kind]))
    assert str(value) not in str(caught.value).replace("row 1", "")


def test_a_whole_number_may_be_written_as_one_with_a_fraction() -> None:
    assert request_keys([[5.0, 5]], key_of(["integer"])) == [b"1:5", b"1:5"]


def test_fractions_are_no_key() -> None:
    assert key_kind(pa.float64()) is None
