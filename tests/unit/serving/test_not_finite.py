"""NaN, infinities and numbers that are too large mean the same however they are sent: docs/endpoint.md."""

import json
import math
import struct
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.infer_binary import decode_binary
from lockstep.serving.rows import to_batch
from lockstep.serving.tensors import DATATYPES
from tests.unit.serving.tensor_requests import Sent, binary_request
from tests.unit.serving.toy import ROW, call, csv_batch, infer_batch, json_batch

NAN, INF = math.nan, math.inf
COLUMNS = {dtype: Signature((Column(name="x", dtype=dtype),), ()) for dtype in ("double", "float", "long", "string")}
# As many rows as become Arrow arrays at once, too.
SIZES = (1, 65)


def sent(text: str, signature: Signature, rows: int) -> dict[str, pa.RecordBatch]:
    """The same literal in every form that has one for it."""
    (column,) = signature.inputs
    datatype, values = DATATYPES[column.dtype][0], ",".join([text] * rows)
    cells, records = ",".join([f"[{text}]"] * rows), ",".join([f'{{"x": {text}}}'] * rows)
    tensor = f'{{"name": "x", "datatype": "{datatype}", "shape": [{rows}], "data": [{values}]}}'
    forms = {
        "split": json_batch(b'{"dataframe_split": {"columns": ["x"], "data": [%s]}}' % cells.encode(), signature),
        "records": json_batch(b'{"dataframe_records": [%s]}' % records.encode(), signature),
        "inputs": json_batch(b'{"inputs": {"x": [%s]}}' % values.encode(), signature),
        "V2": infer_batch(b'{"inputs": [%s]}' % tensor.encode(), signature),
    }
    if column.dtype != "string":
        forms["CSV"] = csv_batch(f"x\n{text}\n".encode() + f"{text}\n".encode() * (rows - 1), signature)
    if column.dtype in {"double", "float"} and text != "null":
        body, length = binary_request([Sent(column, datatype, rows, [float(text)] * rows)])
        forms["binary"] = to_batch([decode_binary(body, length, signature).rows], signature)
    return forms


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize(
    ("dtype", "text", "expected"),
    [
        ("double", "NaN", None),
        ("float", "NaN", None),
        ("long", "NaN", None),
        ("string", "NaN", None),
        ("double", "null", None),
        ("long", "null", None),
        ("string", "null", None),
        ("double", "Infinity", INF),
        ("double", "-Infinity", -INF),
        ("float", "Infinity", INF),
        ("float", "-Infinity", -INF),
        ("float", "3.4028235e38", 3.4028234663852886e38),
        ("double", "1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
def test_missing_and_infinite_mean_the_same_in_every_form(dtype: str, text: str, expected: Any, rows: int) -> None:
    for form, batch in sent(text, COLUMNS[dtype], rows).items():
        assert batch.column("x").to_pylist() == [expected] * rows, form


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("double", "1e400"),
        ("double", "-1e400"),
        ("double", "[NaN, 1e400]"),
        ("float", "1e39"),
        ("float", "-1e39"),
        ("float", "3.5e38"),
        ("float", "1e400"),
        ("long", "1e400"),
        ("long", "Infinity"),
        ("long", "9223372036854775808"),
        ("long", "-9223372036854775809"),
        ("string", "Infinity"),
    ],
)
def test_nothing_is_rounded_to_an_infinity(dtype: str, text: str) -> None:
    signature = COLUMNS[dtype]
    values = text if text.startswith("[") else f"[{text}]"
    datatype = DATATYPES[dtype][0]
    with pytest.raises(RequestInvalid):
        json_batch(b'{"inputs": {"x": %s}}' % values.encode(), signature)
    shape = 1 + values.count(",")
    tensor = f'{{"name": "x", "datatype": "{datatype}", "shape": [{shape}], "data": {values}}}'
    with pytest.raises(RequestInvalid):
        infer_batch(b'{"inputs": [%s]}' % tensor.encode(), signature)
    if dtype != "string" and not text.startswith("["):
        with pytest.raises(RequestInvalid, match=r"row 0: expected .*(out of range|a number with a fraction)"):
            csv_batch(f"x\n{text}\n".encode(), signature)


@pytest.mark.parametrize("beyond", ["1e39", "1e400"])
def test_elements_of_a_tensor_are_not_rounded_to_an_infinity_either(beyond: str) -> None:
    signature = Signature((Column(name="x", dtype="float", shape=(2,)),), ())
    found = json_batch(b'{"inputs": {"x": [[Infinity, null], [NaN, -Infinity]]}}', signature).column("x").to_pylist()
    assert [str(value) for row in found for value in row] == ["inf", "nan", "nan", "-inf"]
    for body in (f'{{"inputs": {{"x": [[0, {beyond}]]}}}}', f'{{"inputs": {{"x": [[Infinity, {beyond}]]}}}}'):
        with pytest.raises(RequestInvalid):
            json_batch(body.encode(), signature)


def test_a_narrow_datatype_is_not_rounded_to_an_infinity() -> None:
    for datatype, value in (("FP16", 65_520), ("BF16", 3.4e38), ("FP32", 1e39)):
        tensor = {"name": "x", "datatype": datatype, "shape": [2], "data": [0.5, value]}
        with pytest.raises(RequestInvalid, match=f"row 1: expected {datatype} or null, got a number out of range"):
            infer_batch(json.dumps({"inputs": [tensor]}).encode(), COLUMNS["double"])
        tensor["data"] = [INF, NAN]
        found = infer_batch(json.dumps({"inputs": [tensor]}).encode(), COLUMNS["double"])
        assert found.column("x").to_pylist() == [INF, None]


def as_bf16(value: float) -> Any:
    tensor = {"name": "x", "datatype": "BF16", "shape": [1], "data": [value]}
    return infer_batch(json.dumps({"inputs": [tensor]}).encode(), COLUMNS["double"]).column("x").to_pylist()[0]


def of_bits(bits: int) -> float:
    (value,) = struct.unpack("<f", struct.pack("<I", bits << 16))
    return float(value)


@given(st.integers(0, 0x7F7E), st.floats(0, 1), st.sampled_from([1, -1]))
def test_bf16_in_json_is_rounded_to_the_nearest(bits: int, way: float, sign: int) -> None:
    below, above = Fraction(of_bits(bits)), Fraction(of_bits(bits + 1))
    value = float(below + (above - below) * Fraction(way))
    halves = Fraction(value) - (below + above) / 2
    up = halves > 0 or (halves == 0 and bits % 2 == 1)
    assert as_bf16(sign * value) == sign * float(above if up else below)


def test_bf16_in_json_is_rounded_once() -> None:
    """By way of FP32 the last number that is not beyond BF16 would be."""
    beyond = 2.0**128 - 2.0**119
    assert as_bf16(math.nextafter(beyond, 0)) == of_bits(0x7F7F)
    assert math.copysign(1, as_bf16(-0.0)) == -1
    with pytest.raises(RequestInvalid, match="row 0: expected BF16 or null, got a number out of range"):
        as_bf16(beyond)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the sine of an infinity
@pytest.mark.parametrize("row", [{"carrier": "YY"}, {"distance": INF}], ids=["the model", "an infinite input"])
def test_a_score_that_is_not_finite_fails_its_request_in_every_form(row: dict[str, Any], app: Any) -> None:
    records = [ROW, {**ROW, **row}]
    kinds = {"carrier": "BYTES", "distance": "FP64", "rate": "FP32", "seats": "INT32", "flight": "INT64", "wet": "BOOL"}
    tensors = [
        {"name": name, "datatype": kinds.get(name, "BYTES"), "shape": [2], "data": [each[name] for each in records]}
        for name in ROW
    ]
    infer = {"inputs": tensors}
    wish = {**infer, "parameters": {"binary_data_output": True}}
    asked = (
        ("/invocations", {"dataframe_records": records}),
        ("/v2/models/toy/infer", infer),
        ("/v2/models/toy/infer", wish),
    )
    for path, body in asked:
        answer = call(app, path, json.dumps(body).encode(), headers={"content-type": "application/json"})
        assert answer.status == 500
        assert b"1 of 2 rows cannot be scored: row 1: not_finite" in answer.body
        assert b"NaN" not in answer.body
