"""Requests whose tensors come as nearly all do are read faster than others, and no otherwise."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving import infer_json
from lockstep.serving.infer_json import decode_infer
from lockstep.serving.rows import to_batch

DTYPES = {"city": "string", "age": "double", "rate": "float", "visits": "long", "open": "boolean"}
KINDS = {"city": "BYTES", "age": "FP64", "rate": "FP32", "visits": "INT64", "open": "BOOL"}
SIGNATURE = Signature(
    tuple(Column(name=name, dtype=dtype) for name, dtype in DTYPES.items()), (Column(name="risk", dtype="double"),)
)
VALUES: dict[str, Any] = {
    "city": st.text(max_size=3),
    "age": st.floats() | st.integers(-5, 5),
    "rate": st.floats(width=32) | st.just(1e300),
    "visits": st.integers(-(2**64), 2**64) | st.just(2.0),
    "open": st.booleans(),
}
ODD = st.none() | st.just("x") | st.just([1]) | st.integers(0, 1)


@st.composite
def tensors(draw: Any) -> list[dict[str, Any]]:
    rows = draw(st.integers(0, 3))
    found = []
    for name, kind in KINDS.items():
        length = rows if draw(st.integers(0, 9)) else draw(st.integers(0, 3))
        data = draw(st.lists(VALUES[name], min_size=length, max_size=length))
        if data and not draw(st.integers(0, 9)):
            data[draw(st.integers(0, length - 1))] = draw(ODD)
        shape = draw(st.sampled_from([[length]] * 8 + [[length, 1], [True], [float(length)], [length + 1], "x"]))
        datatype = kind if draw(st.integers(0, 9)) else draw(st.sampled_from(["FP16", "INT8", "NONE"]))
        found.append({"name": name, "datatype": datatype, "shape": shape, "data": data})
    return found


def read(inputs: list[dict[str, Any]]) -> Any:
    """Return the rows, or why they are none."""
    try:
        return to_batch([decode_infer(json.dumps({"inputs": inputs}).encode(), SIGNATURE).rows], SIGNATURE)
    except RequestInvalid as error:
        return str(error)


@given(tensors())
def test_a_faster_way_is_the_same_way(inputs: list[dict[str, Any]]) -> None:
    fast = read(inputs)
    original = infer_json._plain_columns
    try:
        infer_json._plain_columns = lambda *_: None
        slow = read(inputs)
    finally:
        infer_json._plain_columns = original
    if isinstance(slow, str) or isinstance(fast, str):
        assert fast == slow
    else:
        assert str(fast.to_pydict()) == str(slow.to_pydict())


def test_requests_as_clients_send_them_are_read_the_faster_way() -> None:
    sent = {"city": ["Ulm", None], "age": [1.5, 2], "rate": [None, 0.1], "visits": [1, 2], "open": [True, None]}
    inputs = [{"name": n, "datatype": KINDS[n], "shape": [2], "data": data} for n, data in sent.items()]
    assert infer_json._plain_columns(inputs, SIGNATURE) == [tensor["data"] for tensor in inputs]
    assert infer_json._plain_columns(inputs[::-1], SIGNATURE) is None
