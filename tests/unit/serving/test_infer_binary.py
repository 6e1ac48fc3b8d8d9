"""Binary tensors over HTTP: the same rows as JSON, every size checked, outputs as they were asked for."""

import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.infer_binary import HEADER, binary_outputs, decode_binary, encode_binary
from lockstep.serving.infer_json import InferRequest, decode_infer, encode_infer
from lockstep.serving.rows import PlainRows, to_batch
from tests.unit.serving.tensor_requests import ALL_TYPES, Sent, binary_request, json_request, same_rows, tensors
from tests.unit.serving.toy import IDENTITY

ONE_NUMBER = Signature((Column(name="x", dtype="double"),), IDENTITY.outputs)
ONE_TEXT = Signature((Column(name="x", dtype="string"),), IDENTITY.outputs)
TWO = Signature((Column(name="x", dtype="double"), Column(name="t", dtype="string")), IDENTITY.outputs)
X = {"name": "x", "shape": [2], "datatype": "FP64"}
T = {"name": "t", "shape": [2], "datatype": "BYTES"}
NUMBERS = struct.pack("<2d", 1.5, 2.5)
TEXTS = b"\x01\0\0\0a\x02\0\0\0\xc3\xa9"


@settings(max_examples=150, deadline=None)
@given(tensors(), st.data())
def test_binary_json_and_mixed_requests_are_the_same_rows(sent: list[Sent], data: st.DataObject) -> None:
    apart = data.draw(st.lists(st.booleans(), min_size=len(sent), max_size=len(sent)))
    expected = decode_infer(json_request(sent, id="q"), ALL_TYPES)
    for binary in ([True] * len(sent), apart):
        body, length = binary_request(sent, binary, id="q")
        found = decode_binary(body, length, ALL_TYPES)
        assert same_rows(found.rows, expected.rows, ALL_TYPES)
        assert (found.id, found.outputs) == ("q", ())


def test_few_rows_merge_with_those_of_json_and_many_are_a_batch_at_once() -> None:
    column = ONE_NUMBER.inputs[0]
    for rows, kind in ((1, PlainRows), (64, PlainRows), (65, pa.RecordBatch)):
        body, length = binary_request([Sent(column, "FP32", rows, [0.5] * rows)])
        assert isinstance(decode_binary(body, str(length), ONE_NUMBER).rows, kind)


def test_many_rows_hold_no_object_for_a_value() -> None:
    rows = 1000
    text = Column(name="t", dtype="string")
    signature = Signature((Column(name="x", dtype="long"), text), IDENTITY.outputs)
    sent = [Sent(signature.inputs[0], "UINT32", rows, list(range(rows))), Sent(text, "BYTES", rows, ["ä"] * rows)]
    batch = to_batch([decode_binary(*binary_request(sent), signature).rows], signature)
    assert batch.column("x").to_pylist() == list(range(rows))
    assert batch.column("t").to_pylist() == ["ä"] * rows
    batch.validate(full=True)


def test_nan_is_missing_and_bf16_is_its_number() -> None:
    body, length = binary_request([Sent(ONE_NUMBER.inputs[0], "BF16", 2, [float("nan"), 1.5])])
    batch = to_batch([decode_binary(body, length, ONE_NUMBER).rows], ONE_NUMBER)
    assert batch.column("x").to_pylist() == [None, 1.5]


def test_a_body_without_json_is_one_row_of_the_only_input() -> None:
    found = decode_binary(struct.pack("<d", 2.5), "0", ONE_NUMBER)
    assert to_batch([found.rows], ONE_NUMBER).to_pydict() == {"x": [2.5]}
    assert binary_outputs(found, ONE_NUMBER) == {"probability"}
    text = decode_binary("ä b".encode(), 0, ONE_TEXT)
    assert to_batch([text.rows], ONE_TEXT).to_pydict() == {"x": ["ä b"]}


def test_a_body_without_json_may_be_a_tensor() -> None:
    signature = Signature((Column(name="picture", dtype="float", shape=(2, 2)),), IDENTITY.outputs)
    found = decode_binary(np.arange(4, dtype="<f4").tobytes(), 0, signature)
    assert to_batch([found.rows], signature).column(0).to_pylist() == [[0.0, 1.0, 2.0, 3.0]]


def binary(*inputs: dict[str, Any], tail: bytes = b"", **fields: Any) -> tuple[bytes, int]:
    head = json.dumps({"inputs": list(inputs), **fields}).encode()
    return head + tail, len(head)


def sized(tensor: dict[str, Any], size: object, **changes: Any) -> dict[str, Any]:
    return {**tensor, **changes, "parameters": {"binary_data_size": size}}


BOTH = (sized(X, 16), sized(T, 11))
ALL = NUMBERS + TEXTS
LATE = TEXTS[:5] + b"\x03" + TEXTS[6:]
WISH = {"parameters": {"binary_data_output": "4711"}}
OWN_WISH = {"outputs": [{"name": "probability", "parameters": {"binary_data": 4711}}]}
BAD_BODIES: dict[str, tuple[tuple[bytes, int], str]] = {
    "one byte short": (binary(sized(X, 16), sized(T, 10), tail=ALL[:-2]), "more than the 9 bytes of"),
    "one byte over": (binary(*BOTH, tail=ALL + b"4"), "1 bytes of the body belong to no"),
    "no size": (binary(sized(X, 16), T, tail=ALL), "data must be an array, got null"),
    "size of another tensor": (binary(sized(X, 8), tail=NUMBERS[:8]), "2 values of FP64, which are 16 bytes; got 8"),
    "negative size": (binary(sized(X, -16), tail=NUMBERS), "must be a whole number of bytes, got an integer"),
    "size as text": (binary(sized(X, "4711"), tail=NUMBERS), "must be a whole number of bytes, got a string"),
    "size as boolean": (binary(sized(X, True), tail=NUMBERS), "must be a whole number of bytes, got a boolean"),
    "size as fraction": (binary(sized(X, 16.0), tail=NUMBERS), "must be a whole number of bytes, got a number"),
    "null size": (binary(sized(X, None), tail=NUMBERS), "must be a whole number of bytes, got null"),
    "huge size": (binary(sized(X, 2**63), tail=NUMBERS), "more than the 16 bytes of the body"),
    "huge shape": (binary(sized(X, 16, shape=[2**62]), tail=NUMBERS), "which are 36893488147419103232 bytes; got 16"),
    "shape beyond 64 bits": (binary(sized(X, 16, shape=[2**64]), tail=NUMBERS), r"shape must be \[rows\]"),
    "negative shape": (binary(sized(X, 16, shape=[-2]), tail=NUMBERS), r"shape must be \[rows\]"),
    "data and size": (binary({**sized(X, 16), "data": [1.0, 2.0]}, tail=NUMBERS), "both data and binary_data_size"),
    "parameters a list": (binary({**X, "parameters": [4711]}, tail=NUMBERS), "of input 'x' must be an object"),
    "rows differ": (binary(sized(X, 16), sized(T, 5, shape=[1]), tail=ALL[:21]), "'x' has 2 values, 't' has 1"),
    "a text ends late": (binary(sized(T, 11), tail=LATE), "value 1: it ends beyond the end"),
    "a text of 4 GiB": (binary(sized(T, 11), tail=b"\xff" * 11), "value 0: it ends beyond the end"),
    "a length cut off": (binary(sized(T, 9), tail=b"\x02\0\0\0abc\0\0"), "value 1: its length is beyond the end"),
    "fewer texts": (binary(sized(T, 7), tail=b"\x03\0\0\0abc"), "2 values of BYTES, at least 8 bytes; got 7"),
    "more texts": (binary(sized(T, 11, shape=[1]), tail=TEXTS), "6 bytes are left after 1 values of BYTES"),
    "outputs want text": (binary(*BOTH, tail=ALL, **WISH), "binary_data_output must be true or false, got a string"),
    "an output wants a number": (binary(*BOTH, tail=ALL, **OWN_WISH), "binary_data must be true or false, got an int"),
    "no inputs": ((b"{}", 2), "inputs must be an array of tensors, got null"),
    "no object": ((b"[]", 2), "the body must be a JSON object"),
    "not JSON": ((b"{4711", 5), "not valid JSON"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_body_that_does_not_add_up_is_refused_without_its_data(case: str) -> None:
    (body, length), message = BAD_BODIES[case]
    with pytest.raises(RequestInvalid, match=message) as caught:
        decode_binary(body, length, TWO)
    assert "4711" not in str(caught.value)


def test_text_that_is_not_utf8_is_refused_however_many_rows() -> None:
    for rows in (2, 100):
        tail = b"\x01\0\0\0a" * (rows - 1) + b"\x02\0\0\0\xff\xff"
        body = binary(
            {"name": "x", "shape": [rows], "datatype": "BYTES", "parameters": {"binary_data_size": len(tail)}},
            tail=tail,
        )
        with pytest.raises(RequestInvalid, match=f"input 'x', value {rows - 1}: expected UTF-8"):
            decode_binary(*body, ONE_TEXT)


@pytest.mark.parametrize("rows", [2, 100])
def test_a_boolean_is_0_or_1(rows: int) -> None:
    signature = Signature((Column(name="b", dtype="boolean"),), IDENTITY.outputs)
    tensor = {"name": "b", "shape": [rows], "datatype": "BOOL"}
    for last, fits in ((1, True), (2, False)):
        body = binary(sized(tensor, rows), tail=b"\0" * (rows - 1) + bytes([last]))
        if fits:
            batch = to_batch([decode_binary(*body, signature).rows], signature)
            assert batch.column("b").to_pylist() == [False] * (rows - 1) + [True]
        else:
            with pytest.raises(
                RequestInvalid, match=f"value {rows - 1}: expected BOOL, got a byte that is neither 0 nor 1"
            ):
                decode_binary(*body, signature)


@pytest.mark.parametrize("header", ["", "-1", "+2", " 2", "2 ", "1e3", "0x2", "2.0", "٢", "9" * 19, "4711", -1, 4711])
def test_a_length_that_is_none_is_refused(header: str | int) -> None:
    with pytest.raises(RequestInvalid, match=f"header {HEADER}"):
        decode_binary(b"{}", header, ONE_NUMBER)


def test_a_body_without_json_needs_one_input_and_one_row() -> None:
    with pytest.raises(RequestInvalid, match=r"is 0: .* this one has 2 inputs"):
        decode_binary(b"", 0, TWO)
    with pytest.raises(RequestInvalid, match="declares 1 values of FP64, which are 8 bytes; got 16"):
        decode_binary(NUMBERS, 0, ONE_NUMBER)


OUTPUTS = (
    Column(name="score", dtype="double"),
    Column(name="embedding", dtype="float", shape=(2,)),
    Column(name="half", dtype="float16", shape=(1,)),
    Column(name="label", dtype="string"),
    Column(name="yes", dtype="boolean"),
    Column(name="at", dtype="datetime"),
)
MODEL = IDENTITY.model_copy(update={"outputs": OUTPUTS})
SCORES = (
    np.array([0.1 + 0.2, 5e-324]),
    np.array([[1, 2], [3, 4]], dtype=np.float32) / 10,
    np.array([[0.5], [1.5]], dtype=np.float16),
    np.array(["ä", ""], dtype=object),
    np.array([True, False]),
    np.array(["2013-08-01T05:15:00", "2013-08-01T05:15:00.25"], dtype="datetime64[us]"),
)
RAW = (
    struct.pack("<2d", 0.1 + 0.2, 5e-324),
    np.array([1, 2, 3, 4], dtype="<f4").__truediv__(np.float32(10)).tobytes(),
    struct.pack("<2e", 0.5, 1.5),
    b"\x02\0\0\0\xc3\xa4\0\0\0\0",
    b"\x01\0",
    b"\x13\0\0\0002013-08-01T05:15:00\x1a\0\0\0002013-08-01T05:15:00.250000",
)


def asked(**fields: Any) -> InferRequest:
    return InferRequest(PlainRows((), 2, 0), "q", **fields)


def test_without_a_wish_the_response_is_json() -> None:
    request = asked()
    body, length = encode_binary(MODEL, request, SCORES)
    assert body == encode_infer(MODEL, request, SCORES)
    assert length == len(body)


def test_all_outputs_are_binary_when_the_request_says_so() -> None:
    body, length = encode_binary(MODEL, asked(parameters={"binary_data_output": True}), SCORES)
    head = json.loads(body[:length])
    assert (head["id"], head["model_name"], head["model_version"]) == ("q", "toy", "3")
    assert [tensor["name"] for tensor in head["outputs"]] == [column.name for column in OUTPUTS]
    assert [tensor["parameters"]["binary_data_size"] for tensor in head["outputs"]] == [len(raw) for raw in RAW]
    assert all("data" not in tensor for tensor in head["outputs"])
    assert body[length:] == b"".join(RAW)


def test_an_output_may_say_otherwise_and_the_order_is_the_requests() -> None:
    request = asked(
        outputs=("label", "score", "yes"),
        parameters={"binary_data_output": True},
        output_parameters={"score": {"binary_data": False}, "yes": {"binary_data": True}},
    )
    body, length = encode_binary(MODEL, request, SCORES)
    label, score, yes = json.loads(body[:length])["outputs"]
    assert (label["name"], label["datatype"], label["shape"]) == ("label", "BYTES", [2])
    assert score == {"name": "score", "shape": [2], "datatype": "FP64", "data": [0.1 + 0.2, 5e-324]}
    assert yes["parameters"] == {"binary_data_size": 2}
    assert body[length:] == RAW[3] + RAW[4]


def test_raw_outputs_read_back_to_the_same_bits_and_texts_to_those_of_json() -> None:
    whole = json.loads(encode_infer(MODEL, asked(), SCORES))["outputs"]
    body, length = encode_binary(MODEL, asked(parameters={"binary_data_output": True}), SCORES)
    rest = memoryview(body)[length:]
    for tensor, column in zip(json.loads(body[:length])["outputs"], OUTPUTS, strict=True):
        size = tensor["parameters"]["binary_data_size"]
        signature = Signature((column,), ())
        again = binary({**tensor, "parameters": {"binary_data_size": size}}, tail=bytes(rest[:size]))
        plain = next(output for output in whole if output["name"] == column.name)
        first = decode_binary(*again, signature).rows
        assert same_rows(first, decode_infer(json.dumps({"inputs": [plain]}).encode(), signature).rows, signature)
        rest = rest[size:]


@settings(max_examples=200, deadline=None)
@given(tensors(), st.data())
def test_a_damaged_body_is_read_or_refused_but_never_breaks(sent: list[Sent], data: st.DataObject) -> None:
    body, length = binary_request(sent)
    broken = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(broken) - 1, 0)))
        edit = data.draw(st.sampled_from(["flip", "drop", "add", "cut"]))
        if edit == "flip" and broken:
            broken[place] ^= data.draw(st.integers(1, 255))
        elif edit == "drop":
            del broken[place : place + data.draw(st.integers(1, 16))]
        elif edit == "add":
            broken[place:place] = data.draw(st.binary(max_size=16))
        else:
            del broken[place:]
    header = data.draw(st.sampled_from([length, length - 1, length + 1, 0, len(broken)]))
    try:
        decode_binary(bytes(broken), header, ALL_TYPES)
    except RequestInvalid:
        pass
