"""Fitting data to a signature widens and never narrows."""

import pyarrow as pa
import pytest

from lockstep.errors import ColumnMissing
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature, fits, select, widened

OPTIONAL = Signature(
    (Column(name="a", dtype="double"), Column(name="b", dtype="long", required=False)),
    (Column(name="y", dtype="double"),),
)


@pytest.mark.parametrize(
    ("got", "wanted", "expected"),
    [
        (pa.int32(), pa.float64(), True),
        (pa.float32(), pa.float64(), True),
        (pa.float64(), pa.float32(), False),
        (pa.int64(), pa.int32(), False),
        (pa.int32(), pa.int64(), True),
        (pa.float64(), pa.int64(), False),
        (pa.string(), pa.float64(), False),
        (pa.int64(), pa.string(), False),
        (pa.large_string(), pa.string(), True),
        (pa.dictionary(pa.int32(), pa.string()), pa.string(), True),
        (pa.null(), pa.float64(), True),
        (pa.bool_(), pa.float64(), False),
        (pa.timestamp("ns"), pa.timestamp("us"), True),
    ],
)
def test_fits(got: pa.DataType, wanted: pa.DataType, expected: bool) -> None:
    assert fits(got, wanted) is expected


def test_columns_are_selected_ordered_and_widened() -> None:
    batch = pa.RecordBatch.from_pydict({"z": [1], "b": pa.array([2], pa.int32()), "a": pa.array([3], pa.int16())})
    result = widened(select(batch, OPTIONAL, where="t"), OPTIONAL)
    assert result.schema == pa.schema([("a", pa.float64()), ("b", pa.int64())])
    assert result.to_pylist() == [{"a": 3.0, "b": 2}]


def test_only_an_optional_column_may_be_absent() -> None:
    assert select(pa.RecordBatch.from_pydict({"a": [1.0]}), OPTIONAL, where="t").column("b").null_count == 1
    with pytest.raises(ColumnMissing):
        select(pa.RecordBatch.from_pydict({"b": [1]}), OPTIONAL, where="t")
