"""Open Inference tensors: datatypes, shapes, ids, outputs."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import ARROW_TYPES, ELEMENT_TYPES
from lockstep.serving.infer_json import InferRequest, decode_infer, encode_infer
from lockstep.serving.tensors import DATATYPES, model_metadata
from tests.unit.serving.toy import IDENTITY, ROW, SIGNATURE, infer_batch


def request(*, rows: int = 2, **changes: Any) -> dict[str, Any]:
    """A valid request; `changes` are merged into the tensor of the input so named."""
    inputs = []
    for column in SIGNATURE.inputs:
        tensor = {
            "name": column.name,
            "datatype": DATATYPES[column.dtype][0],
            "shape": [rows],
            "data": [ROW[column.name]] * rows,
        }
        inputs.append({**tensor, **changes.get(column.name, {})})
    return {"inputs": inputs}


def decode(body: Any) -> pa.RecordBatch:
    return infer_batch(json.dumps(body).encode())


def asked_for(body: Any) -> InferRequest:
    return decode_infer(json.dumps(body).encode(), SIGNATURE)


def test_every_signature_type_has_datatypes() -> None:
    assert DATATYPES.keys() == {*ARROW_TYPES, *ELEMENT_TYPES}


def test_flat_and_nested_data_and_both_shapes_are_the_same() -> None:
    plain = decode(request())
    nested = {c.name: {"shape": [2, 1], "data": [[ROW[c.name]]] * 2} for c in SIGNATURE.inputs}
    column_shape = {c.name: {"shape": [2, 1]} for c in SIGNATURE.inputs}
    assert decode(request(**nested)).equals(plain)
    assert decode(request(**column_shape)).equals(plain)


def test_null_is_missing_and_no_rows_are_no_rows() -> None:
    assert decode(request(distance={"data": [None, 2.0]})).column("distance").to_pylist() == [None, 2.0]
    assert decode(request(rows=0)).num_rows == 0


def test_a_narrower_datatype_is_rounded_as_such_before_it_widens() -> None:
    found = decode(request(distance={"datatype": "FP32", "data": [0.1, None]})).column("distance").to_pylist()
    assert found == [float(np.float32(0.1)), None]
    small = decode(request(distance={"datatype": "INT8", "data": [-128, 5.0]})).column("distance").to_pylist()
    assert small == [-128.0, 5.0]
    half = decode(request(distance={"datatype": "FP16", "data": [0.1, float("nan")]})).column("distance")
    assert half.to_pylist() == [float(np.float16(0.1)), None]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "must be a JSON object"),
        ({}, "inputs must be an array of tensors, got null"),
        ({"inputs": {}}, "inputs must be an array of tensors, got an object"),
        ({**request(), "id": 5}, "id must be a string, got an integer"),
        ({"inputs": [5]}, r"inputs\[0\] must be an object"),
        ({"inputs": [{"data": []}]}, r"inputs\[0\] must be an object with name"),
        ({"inputs": [{"name": "colour"}]}, "the model has no input of that name"),
        ({"inputs": []}, "lacks 7 of the model's input columns"),
        ({**request(), "outputs": {}}, "outputs must be an array"),
        ({**request(), "outputs": [{"name": "x"}]}, r"outputs\[0\]: the model has no such output; it has probability"),
        ({**request(), "outputs": [5]}, r"outputs\[0\]: the model has no such output"),
        ({**request(), "outputs": [{"name": "probability"}] * 2}, "requested twice"),
        ({"inputs": request()["inputs"] * 2}, "input 'carrier' is given twice"),
        (request(rate={"datatype": "FP64"}), "input 'rate': the datatype does not fit; expected FP32 or FP16 or"),
        (request(rate={"datatype": None}), "the datatype does not fit"),
        (request(rate={"datatype": ["FP32"]}), "the datatype does not fit"),
        (request(rate={"shape": [3]}), "the shape declares 3 values, the data holds 2"),
        (request(rate={"shape": []}), r"shape must be \[rows\] or \[rows, 1\]"),
        (request(rate={"shape": [1, 2]}), r"shape must be"),
        (request(rate={"shape": [-1]}), r"shape must be"),
        (request(rate={"shape": [2.0]}), r"shape must be"),
        (request(rate={"shape": None}), r"shape must be"),
        (request(rate={"data": None}), "data must be an array, got null"),
        (request(rate={"data": [[1.0], 2.0]}), "data must be flat, or nested as the shape says"),
        (request(rate={"data": [[1.0, 2.0]]}), "data must be flat, or nested as the shape says"),
        (request(rate={"shape": [1], "data": [1.0]}), "'carrier' has 2 values, 'rate' has 1"),
        (request(rate={"data": ["4711", 1]}), "field 'rate', row 0: expected a number or null, got a string"),
        (request(distance={"datatype": "UINT8", "data": [1, 4711]}), "row 1: expected UINT8 or null, got a number out"),
        (
            request(distance={"datatype": "INT32", "data": [1, 4.711]}),
            "row 1: expected INT32 or null, got a number with",
        ),
        (request(distance={"data": [1, True]}), "field 'distance', row 1: expected a number or null, got a boolean"),
        (
            request(rate={"parameters": {"binary_data_size": 8}}),
            "binary data needs the header Inference-Header-Content-Length",
        ),
    ],
)
def test_what_does_not_fit_is_refused_without_the_value(body: Any, message: str) -> None:
    with pytest.raises(RequestInvalid, match=message) as caught:
        decode(body)
    assert "4711" not in str(caught.value)


def test_the_response_echoes_the_id_and_names_the_model() -> None:
    asked = asked_for({**request(), "id": "q-1", "outputs": [{"name": "probability"}]})
    answer = json.loads(encode_infer(IDENTITY, asked, (np.array([0.1 + 0.2, 5e-324]),)))
    assert answer == {
        "model_name": "toy",
        "model_version": "3",
        "id": "q-1",
        "parameters": {"model_digest": "d" * 64},
        "outputs": [{"name": "probability", "shape": [2], "datatype": "FP64", "data": [0.1 + 0.2, 5e-324]}],
    }


def test_a_tensor_output_is_flat_with_its_shape() -> None:
    vector = Column(name="embedding", dtype="float", shape=(2, 2))
    identity = IDENTITY.model_copy(update={"outputs": (vector,)})
    values = np.arange(12, dtype=np.float32).reshape(3, 2, 2) / 10
    asked = InferRequest(decode(request()), None)
    (tensor,) = json.loads(encode_infer(identity, asked, (values,)))["outputs"]
    data = tensor.pop("data")
    assert tensor == {"name": "embedding", "shape": [3, 2, 2], "datatype": "FP32"}
    assert np.array(data, dtype=np.float32).tobytes() == values.tobytes()
    assert model_metadata(identity, [3])["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 2, 2]}]


@pytest.mark.parametrize("extra", [{}, {"id": None}, {"outputs": None}, {"outputs": []}, {"parameters": {"x": 1}}])
def test_without_id_there_is_none(extra: dict[str, Any]) -> None:
    answer = json.loads(encode_infer(IDENTITY, asked_for({**request(), **extra}), (np.array([0.5, 0.5]),)))
    assert "id" not in answer
    assert [output["name"] for output in answer["outputs"]] == ["probability"]


def test_metadata_lists_every_input_as_a_variable_tensor() -> None:
    metadata = model_metadata(IDENTITY, [3])
    assert metadata["name"] == "toy"
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"][1] == {"name": "distance", "datatype": "FP64", "shape": [-1]}
    assert [tensor["datatype"] for tensor in metadata["inputs"]] == [
        "BYTES", "FP64", "FP32", "INT32", "INT64", "BOOL", "BYTES", "BYTES",
    ]  # fmt: skip
    assert metadata["outputs"] == [{"name": "probability", "datatype": "FP64", "shape": [-1]}]
