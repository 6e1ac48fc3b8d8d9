"""gRPC requests: typed, raw and JSON are the same rows; responses have the form of their request."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving import infer_json
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.codec import CONTENTS, GrpcInfer, decode_infer, encode_infer, encode_metadata
from lockstep.serving.grpc.wire import parse_infer
from lockstep.serving.infer_json import InferRequest
from lockstep.serving.rows import PlainRows, to_batch
from tests.unit.serving.tensor_requests import ALL_TYPES, Sent, json_request, same_rows, tensors
from tests.unit.serving.toy import IDENTITY

NUMBER = Signature((Column(name="x", dtype="double"),), IDENTITY.outputs)
SMALL = Signature((Column(name="x", dtype="integer"),), IDENTITY.outputs)
TEXT = Signature((Column(name="x", dtype="string"),), IDENTITY.outputs)


def infer(sent: list[Sent], *, raw: bool, **fields: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="toy", **fields)
    for tensor in sent:
        added = request.inputs.add(name=tensor.column.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            request.raw_input_contents.append(tensor.raw)
        else:
            values = [value.encode() if isinstance(value, str) else value for value in tensor.values]
            getattr(added.contents, CONTENTS[tensor.datatype]).extend(values)
    return request


@settings(max_examples=150, deadline=None)
@given(tensors())
def test_raw_and_json_requests_are_the_same_rows(sent: list[Sent]) -> None:
    expected = infer_json.decode_infer(json_request(sent), ALL_TYPES)
    found = decode_infer(infer(sent, raw=True, id="q"), ALL_TYPES)
    assert same_rows(found.request.rows, expected.rows, ALL_TYPES)
    assert (found.raw, found.request.id) == (True, "q")


@settings(max_examples=150, deadline=None)
@given(tensors(), st.data())
def test_typed_and_json_requests_are_the_same_rows(sent: list[Sent], data: st.DataObject) -> None:
    typed = [tensor for tensor in sent if tensor.datatype in CONTENTS]
    signature = Signature(tuple(tensor.column for tensor in typed), ALL_TYPES.outputs)
    expected = infer_json.decode_infer(json_request(typed), signature)
    found = decode_infer(infer(typed, raw=False), signature)
    assert same_rows(found.request.rows, expected.rows, signature)
    assert found.raw is False
    assert found.request.id is None


def tensor(
    datatype: str = "FP64", shape: tuple[int, ...] = (2,), name: str = "x", **contents: Any
) -> pb.ModelInferRequest.InferInputTensor:
    filled = pb.InferTensorContents(**contents) if contents else None
    return pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, contents=filled)


TWO = {"fp64_contents": [47.11, 2.0]}
REQUESTS: dict[str, tuple[Signature, dict[str, Any], str]] = {
    "no inputs": (NUMBER, {}, "lacks 1 of the model's input columns: 'x'"),
    "an unknown input": (NUMBER, {"inputs": [tensor(name="secret")]}, r"inputs\[0\]: the model has no input of that"),
    "twice": (NUMBER, {"inputs": [tensor(**TWO)] * 2}, "input 'x' is given twice"),
    "another datatype": (NUMBER, {"inputs": [tensor("BYTES")]}, "the datatype does not fit; expected FP64 or"),
    "no datatype": (NUMBER, {"inputs": [tensor("", **TWO)]}, "the datatype does not fit; expected FP64 or"),
    "no shape": (NUMBER, {"inputs": [tensor(shape=(), **TWO)]}, r"shape must be \[rows\]"),
    "negative shape": (NUMBER, {"inputs": [tensor(shape=(-2,), **TWO)]}, r"shape must be \[rows\]"),
    "two columns": (NUMBER, {"inputs": [tensor(shape=(1, 2), **TWO)]}, r"shape must be \[rows\]"),
    "too few": (NUMBER, {"inputs": [tensor(shape=(3,), **TWO)]}, "declares 3 values, the contents hold 2"),
    "no contents": (NUMBER, {"inputs": [tensor()]}, "declares 2 values, the contents hold 0"),
    "a huge shape": (NUMBER, {"inputs": [tensor(shape=(2**62,), **TWO)]}, "declares 4611686018427387904 values"),
    "another field": (NUMBER, {"inputs": [tensor(fp32_contents=[1, 2])]}, "FP64 are in fp64_contents, got fp32_cont"),
    "two fields": (NUMBER, {"inputs": [tensor(fp32_contents=[1], **TWO)]}, "got fp32_contents, fp64_contents"),
    "typed FP16": (NUMBER, {"inputs": [tensor("FP16", **TWO)]}, "FP16 can only be sent as raw_input_contents"),
    "typed BF16": (NUMBER, {"inputs": [tensor("BF16")]}, "BF16 can only be sent as raw_input_contents"),
    "beyond INT8": (SMALL, {"inputs": [tensor("INT8", int_contents=[1, 4711])]}, "row 1: expected INT8 or null, got"),
    "beyond UINT16": (SMALL, {"inputs": [tensor("UINT16", uint_contents=[70000, 1])]}, "row 0: expected UINT16 or"),
    "no UTF-8": (TEXT, {"inputs": [tensor("BYTES", bytes_contents=[b"a", b"\xff4711"])]}, "value 1: expected UTF-8"),
    "both": (NUMBER, {"inputs": [tensor(**TWO)], "raw_input_contents": [b"\0" * 16]}, "has both contents and raw_inp"),
    "fewer raw": (
        NUMBER,
        {"inputs": [tensor(), tensor()], "raw_input_contents": [b"\0" * 16]},
        "raw_input_contents has 1 entries for 2 inputs",
    ),
    "more raw": (NUMBER, {"inputs": [tensor()], "raw_input_contents": [b"", b""]}, "has 2 entries for 1 inputs"),
    "raw of another size": (NUMBER, {"inputs": [tensor()], "raw_input_contents": [b"4711"]}, "are 16 bytes; got 4 byt"),
    "an unknown output": (
        NUMBER,
        {"inputs": [tensor(**TWO)], "outputs": [pb.ModelInferRequest.InferRequestedOutputTensor(name="y")]},
        r"outputs\[0\]: the model has no such output; it has probability",
    ),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_what_does_not_fit_is_refused_without_the_value(case: str) -> None:
    signature, fields, message = REQUESTS[case]
    with pytest.raises(RequestInvalid, match=message) as caught:
        decode_infer(pb.ModelInferRequest(**fields), signature)
    assert not {"4711", "47.11", "secret", "70000"} & set(str(caught.value).replace(",", " ").split())


def test_typed_nan_is_missing_and_parameters_are_values() -> None:
    request = pb.ModelInferRequest(inputs=[tensor(fp64_contents=[math.nan, 1.5])])
    request.parameters["a"].bool_param = True
    request.parameters["b"].int64_param = -3
    request.parameters["c"].string_param = "x"
    request.parameters["d"].double_param = 0.5
    request.parameters["e"].uint64_param = 2**63
    request.parameters["f"].SetInParent()
    found = decode_infer(request, NUMBER).request
    assert to_batch([found.rows], NUMBER).to_pydict() == {"x": [None, 1.5]}
    assert found.parameters == {"a": True, "b": -3, "c": "x", "d": 0.5, "e": 2**63, "f": None}


OUTPUTS = (
    Column(name="score", dtype="double"),
    Column(name="embedding", dtype="float", shape=(2,)),
    Column(name="label", dtype="string"),
    Column(name="code", dtype="uint8", shape=(1,)),
    Column(name="count", dtype="long"),
    Column(name="yes", dtype="boolean"),
)
SCORES = (
    np.array([0.1 + 0.2, 5e-324]),
    np.array([[1, 2], [3, 4]], dtype=np.float32) / 10,
    np.array(["ä", ""], dtype=object),
    np.array([[0], [255]], dtype=np.uint8),
    np.array([-1, 2**62]),
    np.array([True, False]),
)
MODEL = IDENTITY.model_copy(update={"outputs": OUTPUTS})


def asked(*, raw: bool, **fields: Any) -> GrpcInfer:
    return GrpcInfer(InferRequest(PlainRows((), 2, 0), "q", **fields), raw)


def test_the_response_is_typed_or_raw_as_the_request_was() -> None:
    typed = encode_infer(MODEL, asked(raw=False), SCORES)
    raw = encode_infer(MODEL, asked(raw=True), SCORES)
    assert (typed.model_name, typed.model_version, typed.id) == ("toy", "3", "q")
    assert typed.parameters["model_digest"].string_param == "d" * 64
    assert not typed.raw_output_contents
    assert len(raw.raw_output_contents) == len(OUTPUTS)
    described = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in typed.outputs]
    assert described == [
        ("score", "FP64", [2]), ("embedding", "FP32", [2, 2]), ("label", "BYTES", [2]), ("code", "UINT8", [2, 1]),
        ("count", "INT64", [2]), ("yes", "BOOL", [2]),
    ]  # fmt: skip
    assert described == [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in raw.outputs]
    assert list(typed.outputs[0].contents.fp64_contents) == [0.1 + 0.2, 5e-324]
    assert list(typed.outputs[2].contents.bytes_contents) == ["ä".encode(), b""]
    assert not any(tensor.HasField("contents") for tensor in raw.outputs)


def test_a_response_reads_back_to_the_same_bits_in_both_forms() -> None:
    signature = Signature(OUTPUTS, ())
    read = []
    for raw in (True, False):
        response = encode_infer(MODEL, asked(raw=raw), SCORES)
        inputs = [
            pb.ModelInferRequest.InferInputTensor(
                name=t.name, datatype=t.datatype, shape=t.shape, contents=None if raw else t.contents
            )
            for t in response.outputs
        ]
        again = pb.ModelInferRequest(inputs=inputs, raw_input_contents=response.raw_output_contents)
        read.append(decode_infer(again, signature).request.rows)
    assert same_rows(read[0], read[1], signature)
    batch = to_batch([read[0]], signature)
    assert batch.column("score").to_pylist() == SCORES[0].tolist()
    assert batch.column("embedding").flatten().to_numpy().tobytes() == SCORES[1].tobytes()


def test_an_output_without_typed_form_makes_the_response_raw() -> None:
    model = IDENTITY.model_copy(update={"outputs": (Column(name="h", dtype="float16", shape=(1,)), OUTPUTS[0])})
    scores = (np.array([[0.5], [1.5]], dtype=np.float16), SCORES[0])
    assert len(encode_infer(model, asked(raw=False), scores).raw_output_contents) == 2
    assert not encode_infer(model, asked(raw=False, outputs=("score",)), scores).raw_output_contents


def test_metadata_is_that_of_rest() -> None:
    found = encode_metadata(MODEL, [2, 3])
    assert (found.name, list(found.versions), found.platform) == ("toy", ["2", "3"], "mlflow")
    assert [(t.name, t.datatype, list(t.shape)) for t in found.outputs][:2] == [
        ("score", "FP64", [-1]), ("embedding", "FP32", [-1, 2])
    ]  # fmt: skip
    assert [t.name for t in found.inputs] == [column.name for column in IDENTITY.inputs]


@settings(max_examples=300, deadline=None)
@given(tensors(), st.booleans(), st.data())
def test_a_damaged_message_is_read_or_refused_but_never_breaks(
    sent: list[Sent], raw: bool, data: st.DataObject
) -> None:
    fitting = [tensor for tensor in sent if raw or tensor.datatype in CONTENTS]
    broken = bytearray(infer(fitting, raw=raw).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(broken) - 1, 0)))
        if data.draw(st.booleans()):
            broken[place : place + 1] = data.draw(st.binary(max_size=3))
        else:
            del broken[place : place + data.draw(st.integers(1, 16))]
    try:
        decode_infer(parse_infer(bytes(broken)), ALL_TYPES)
    except RequestInvalid:
        pass
