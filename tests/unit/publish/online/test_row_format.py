import datetime as dt
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.publish.online.row_format import ColumnUnsupported, RowFormat

TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint32(), st.integers(0, 2**32 - 1)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=8)),
    (pa.large_string(), st.text(max_size=8)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(dt.UTC))),
]


@st.composite
def batches(draw: st.DrawFn) -> tuple[pa.RecordBatch, np.ndarray]:
    kinds = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=10))
    rows = draw(st.integers(0, 6))
    arrays = [
        pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind) for kind, values in kinds
    ]
    makers = np.array(draw(st.lists(st.integers(0, 65535), min_size=rows, max_size=rows)), np.uint16)
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{n}" for n in range(len(arrays))]), makers


def bits(array: pa.Array) -> list[Any]:
    """Values whose equality is that of their bits."""
    values = array.to_pylist()
    return [v if not isinstance(v, float) else (math.isnan(v), math.copysign(1, v), str(v)) for v in values]


@given(batches())
def test_rows_come_back_to_the_bit(made: tuple[pa.RecordBatch, np.ndarray]) -> None:
    batch, makers = made
    rows = RowFormat(batch.schema)
    back, who = rows.decode(rows.encode(batch.columns, makers))
    assert back.schema == batch.schema
    assert who.tolist() == makers.tolist()
    for old, new in zip(batch.columns, back.columns, strict=True):
        assert bits(old) == bits(new)


def test_vectors_and_the_bits_of_a_nan_come_back() -> None:
    strange = np.array([0x7FF8000000000123, 0x8000000000000000], np.uint64).view(np.float64)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 3)
    batch = pa.RecordBatch.from_pydict({"v": vectors, "x": pa.array(strange)})
    rows = RowFormat(batch.schema)
    back, _ = rows.decode(rows.encode(batch.columns, np.zeros(2, np.uint16)))
    assert back.column("v").equals(vectors)
    assert back.column("x").to_numpy().view(np.uint64).tolist() == strange.view(np.uint64).tolist()


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.struct([("a", pa.int8())]), pa.decimal128(5), pa.binary()])
def test_a_type_that_cannot_be_kept_is_named(kind: pa.DataType) -> None:
    with pytest.raises(ColumnUnsupported, match=r"column 'x' is .*, which an online store cannot keep"):
        RowFormat(pa.schema([("x", kind)]))
