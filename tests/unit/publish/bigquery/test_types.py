import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import PublishError
from lockstep.publish.bigquery.types import columns_of, listed, spelled, sql_type


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.int8(), "INT64"),
        (pa.uint32(), "INT64"),
        (pa.int64(), "INT64"),
        (pa.float32(), "FLOAT64"),
        (pa.bool_(), "BOOL"),
        (pa.large_string(), "STRING"),
        (pa.dictionary(pa.int8(), pa.string()), "STRING"),
        (pa.binary(), "BYTES"),
        (pa.date32(), "DATE"),
        (pa.timestamp("us", "UTC"), "TIMESTAMP"),
        (pa.timestamp("ms"), "DATETIME"),
        (pa.list_(pa.float32(), 384), "ARRAY<FLOAT64>"),
        (pa.list_(pa.string()), "ARRAY<STRING>"),
    ],
)
def test_types_that_hold_every_value(kind: pa.DataType, expected: str) -> None:
    assert sql_type(kind, column="c") == expected


@pytest.mark.parametrize(
    "kind",
    [
        pa.uint64(),
        pa.timestamp("ns"),
        pa.decimal128(38, 9),
        pa.list_(pa.list_(pa.int8())),
        pa.struct([("a", pa.int8())]),
    ],
)
def test_types_that_would_lose_something_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(PublishError, match=r"column odd of type .* cannot be published to BigQuery"):
        columns_of([pa.field("odd", kind)])


@given(st.lists(st.text("abAB", min_size=1, max_size=3), max_size=6))
def test_names_that_bigquery_takes_for_one_are_refused(names: list[str]) -> None:
    fields = [pa.field(name, pa.int64()) for name in names]
    if len({name.lower() for name in names}) == len(names):
        assert list(columns_of(fields)) == names
    else:
        with pytest.raises(PublishError, match="differ only in upper and lower case"):
            columns_of(fields)


@given(st.sets(st.text("abcABC", min_size=1, max_size=2)))
def test_names_are_spelled_as_the_table_has_them(names: set[str]) -> None:
    existing = {name.lower(): name for name in sorted(names)}
    staged = {key.upper(): "INT64" for key in existing}
    assert set(spelled(staged, existing.values())) == set(existing.values())
    assert spelled({"new": "DATE"}, existing.values()) == {"new": "DATE"}


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [("INTEGER", "NULLABLE", "INT64"), ("FLOAT", "REPEATED", "ARRAY<FLOAT64>"), ("BOOLEAN", "REQUIRED", "BOOL")],
)
def test_what_the_interface_says_is_written_as_in_sql(name: str, mode: str, expected: str) -> None:
    assert listed(name, mode) == expected
