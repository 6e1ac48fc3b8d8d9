"""Rows that the parity client writes, in every encoding, are the rows that the endpoint reads."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.client import ENCODINGS
from lockstep.serving.formats import decode_json
from lockstep.serving.infer_json import decode_infer
from lockstep.serving.rows import to_batch

FLOATS = st.floats(width=32, allow_infinity=False)
COLUMNS = {
    "city": (Column(name="city", dtype="string"), st.text(max_size=3)),
    "visits": (Column(name="visits", dtype="long"), st.integers(-(2**63), 2**63 - 1)),
    "vector": (Column(name="vector", dtype="float", shape=(4,)), st.lists(FLOATS, min_size=4, max_size=4)),
    "image": (Column(name="image", dtype="uint8", shape=(2, 3)), st.lists(st.integers(0, 255), min_size=6, max_size=6)),
}  # fmt: skip
SIGNATURE = Signature(tuple(column for column, _ in COLUMNS.values()), (Column(name="y", dtype="double"),))
ROWS = st.lists(st.fixed_dictionaries({name: values for name, (_, values) in COLUMNS.items()}), min_size=1, max_size=4)


def written(rows: dict[str, list[Any]], encoding: str) -> bytes:
    return json.dumps(ENCODINGS[encoding](rows, SIGNATURE.inputs)).encode()


def read(body: bytes, encoding: str) -> pa.RecordBatch:
    decoded = decode_infer(body, SIGNATURE).rows if encoding == "tensors" else decode_json(body, SIGNATURE)
    return to_batch([decoded], SIGNATURE)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(ROWS)
def test_rows_survive(encoding: str, rows: list[dict[str, Any]]) -> None:
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    found = read(written(columns, encoding), encoding)
    for name, values in columns.items():
        got = found.column(name).to_pylist()
        if name == "vector":
            np.testing.assert_array_equal(np.array(got, np.float32), np.array(values, np.float32))
        else:
            assert got == values


def test_a_row_without_its_tensor_is_refused() -> None:
    row = {"city": ["a"], "visits": [1], "vector": [None], "image": [[0] * 6]}
    for encoding in ENCODINGS:
        with pytest.raises(RequestInvalid):
            read(written(row, encoding), encoding)
