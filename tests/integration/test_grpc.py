"""The gRPC edge over real sockets: the same bits as REST, statuses, deadlines, cancellation, limits, stop."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_endpoints import Child, child, failed, infer_request, rest, rows, toy_request

from lockstep.serving.grpc import open_inference_pb2 as pb
from tests.unit.serving.tensor_requests import FORMATS, Sent
from tests.unit.serving.toy import INPUTS, ROW


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with child(tmp_path_factory.mktemp("grpc")) as found:
        yield found


@pytest.fixture
def stub(running: Child) -> Iterator[Any]:
    with grpc.insecure_channel(running.target) as channel:
        yield running.stub(channel)


def tensors(given: list[dict[str, Any]]) -> dict[str, Any]:
    """The same rows for REST."""
    inputs = []
    for column in INPUTS:
        values = [row[column.name] for row in given]
        if column.required:
            plain = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
            kind = {"string": "BYTES", "double": "FP64", "float": "FP32", "integer": "INT32", "long": "INT64"}
            datatype = {**kind, "boolean": "BOOL", "datetime": "BYTES"}[column.dtype]
            inputs.append({"name": column.name, "datatype": datatype, "shape": [len(given)], "data": plain})
    return {"inputs": inputs}


@pytest.mark.parametrize("count", [1, 3, 64, 65, 1000])
def test_raw_typed_and_rest_give_the_same_bits(count: int, running: Child, stub: Any) -> None:
    given = rows(count)
    status, expected = rest(running, "/v2/models/toy/infer", tensors(given))
    assert status == 200
    (scores,) = [output["data"] for output in expected["outputs"]]
    raw = stub.ModelInfer(toy_request(given))
    typed = stub.ModelInfer(toy_request(given, raw=False))
    assert raw.raw_output_contents[0] == struct.pack(f"<{count}d", *scores)
    assert list(typed.outputs[0].contents.fp64_contents) == scores
    assert (raw.model_name, raw.model_version, list(raw.outputs[0].shape)) == ("toy", "3", [count])


def test_every_type_comes_back_as_it_went(stub: Any) -> None:
    given = stub.ModelMetadata(pb.ModelMetadataRequest(name="echo"))
    values = {
        "text": ["ä", ""], "number": [0.1 + 0.2, -5e-324], "rate": [0.1, 2.0], "seats": [-(2**31), 7],
        "flight": [2**63 - 1, 0], "wet": [True, False], "picture": [float(v) for v in range(12)],
        "halves": [0.5, 1.0, 65504.0, -0.25], "codes": [0, 255, 1, 2, 3, 4], "words": ["a", "b c", "", "🦊"],
    }  # fmt: skip
    request = pb.ModelInferRequest(model_name="echo", id="round")
    for tensor in given.inputs:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=[2, *tensor.shape[1:]])
        request.raw_input_contents.append(
            b"".join(struct.pack("<I", len(v.encode())) + v.encode() for v in values[tensor.name])
            if tensor.datatype == "BYTES"
            else b"".join(struct.pack(FORMATS[tensor.datatype], v) for v in values[tensor.name])
        )
    answer = stub.ModelInfer(request)
    assert answer.id == "round"
    assert list(answer.raw_output_contents) == list(request.raw_input_contents)
    assert [(t.name, list(t.shape)) for t in answer.outputs] == [
        (f"{t.name}_out", [2, *t.shape[1:]]) for t in given.inputs
    ]
    one = pb.ModelInferRequest(outputs=[{"name": "words_out"}])
    one.MergeFrom(request)
    (words,) = stub.ModelInfer(one).raw_output_contents
    assert words == request.raw_input_contents[-1]


def test_health_readiness_and_metadata(stub: Any) -> None:
    assert stub.ServerLive(pb.ServerLiveRequest()).live is True
    assert stub.ServerReady(pb.ServerReadyRequest()).ready is False  # a model is not loaded
    assert stub.ModelReady(pb.ModelReadyRequest(name="toy", version="3")).ready is True
    assert stub.ModelReady(pb.ModelReadyRequest(name="absent")).ready is False
    assert failed(stub.ModelReady, pb.ModelReadyRequest(name="none")).code() is StatusCode.NOT_FOUND
    assert stub.ServerMetadata(pb.ServerMetadataRequest()).name == "lockstep"
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="toy"))
    assert (metadata.name, list(metadata.versions), metadata.platform) == ("toy", ["3"], "mlflow")
    index = stub.RepositoryIndex(pb.RepositoryIndexRequest())
    assert [(m.name, m.version, m.state) for m in index.models] == [
        ("toy", "3", "READY"), ("echo", "3", "READY"), ("sleep", "3", "READY"), ("absent", "", "UNAVAILABLE")
    ]  # fmt: skip
    assert len(stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True)).models) == 3


BAD: dict[str, tuple[pb.ModelInferRequest, StatusCode, str]] = {
    "unknown model": (toy_request(model_name="other"), StatusCode.NOT_FOUND, "model 'other' is not served here"),
    "unknown version": (toy_request(model_version="9"), StatusCode.NOT_FOUND, "version '9' is not served here"),
    "no model": (toy_request(model_name=""), StatusCode.NOT_FOUND, "names no model"),
    "not loaded": (toy_request(model_name="absent"), StatusCode.UNAVAILABLE, "model 'absent' is not ready"),
    "wrong type": (
        infer_request("toy", [Sent(INPUTS[1], "BYTES", 1, ["secret"])]),
        StatusCode.INVALID_ARGUMENT,
        "input 'distance': the datatype does not fit",
    ),
    "missing columns": (infer_request("toy", []), StatusCode.INVALID_ARGUMENT, "lacks 7 of the model's input columns"),
    "row refused": (
        toy_request([{**ROW, "carrier": "XX"}]),
        StatusCode.INTERNAL,
        "1 of 1 rows cannot be scored: row 0: ",
    ),
    "not finite": (toy_request([{**ROW, "carrier": "YY"}]), StatusCode.INTERNAL, "1 of 1 rows cannot be scored"),
    "bad time": (toy_request([{**ROW, "at": "secret"}]), StatusCode.INVALID_ARGUMENT, "field 'at', row 0: expected an"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_error_has_its_status_and_no_data(case: str, stub: Any) -> None:
    request, code, message = BAD[case]
    error = failed(stub.ModelInfer, request, metadata=(("x-request-id", "find-me"),))
    assert error.code() is code
    assert message in error.details()
    assert "secret" not in error.details()
    assert ("x-request-id", "find-me") in tuple(error.trailing_metadata())


def test_a_good_answer_names_who_gave_it(stub: Any) -> None:
    _, call = stub.ModelInfer.with_call(toy_request(), metadata=(("x-request-id", "q-1"),))
    found = dict(call.trailing_metadata())
    assert found["x-request-id"] == "q-1"
    assert (found["x-lockstep-model-name"], found["x-lockstep-model-version"]) == ("toy", "3")
    assert found["x-lockstep-model-digest"] == f"{3:064x}"
    assert found["server-timing"].startswith("decode;dur=")
    _, call = stub.ModelInfer.with_call(toy_request(), metadata=(("x-request-id", "not a safe id"),))
    assert len(dict(call.trailing_metadata())["x-request-id"]) == 32


def test_what_is_not_there_is_unimplemented(running: Child) -> None:
    with grpc.insecure_channel(running.target) as channel:
        for method in ("/inference.GRPCInferenceService/ModelStreamInfer", "/inference.Other/ModelInfer", "/a/b"):
            assert failed(channel.unary_unary(method), b"").code() is StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_message_are_the_clients_fault(running: Child) -> None:
    with grpc.insecure_channel(running.target) as channel:
        for method in ("ModelInfer", "ModelMetadata"):
            call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
            for message in (b"\xff" * 100, b"\x2a\x00" * 40_000 + b"\xff"):
                error = failed(call, message)
                assert error.code() is StatusCode.INVALID_ARGUMENT
                assert "is not a valid inference.Model" in error.details()
            error = failed(channel.unary_unary("/inference.GRPCInferenceService/ModelInfer"), b"\x2a\x00" * 1_000_000)
            assert error.details() == "the message has more than 65536 fields"


def test_the_metrics_count_calls(running: Child, stub: Any) -> None:
    stub.ModelInfer(toy_request(rows(3)))
    failed(stub.ModelInfer, toy_request(model_name="other"))
    _, text = rest(running, "/metrics")
    assert 'lockstep_requests_total{arm="",edge="grpc",model="toy",status="200",version="3"}' in text
    assert 'lockstep_requests_total{arm="",edge="grpc",model="",status="404",version=""}' in text


def test_models_are_loaded_and_unloaded_in_kserves_way_and_in_tritons(tmp_path: Path) -> None:
    with child(tmp_path) as changing, grpc.insecure_channel(changing.target) as channel:
        stub = changing.stub(channel)
        request = toy_request(model_name="absent")
        assert failed(stub.ModelInfer, request).code() is StatusCode.UNAVAILABLE
        loaded = stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(repository_name="absent"))  # field 1
        assert (loaded.model_name, loaded.isLoaded) == ("absent", True)
        assert stub.ModelInfer(request).model_version == "2"
        assert stub.ServerReady(pb.ServerReadyRequest()).ready is True
        other = pb.RepositoryModelLoadRequest(model_name="absent")
        other.parameters["version"].string_param = "1"
        stub.RepositoryModelLoad(other)
        assert stub.ModelInfer(request).model_version == "1"
        other.parameters["version"].int64_param = 7
        assert failed(stub.RepositoryModelLoad, other).code() is StatusCode.NOT_FOUND
        other.parameters["version"].string_param = "newest"
        assert failed(stub.RepositoryModelLoad, other).code() is StatusCode.INVALID_ARGUMENT
        other.parameters["config"].string_param = "{}"
        assert "no parameter but version" in failed(stub.RepositoryModelLoad, other).details()
        for unknown in (stub.RepositoryModelLoad, stub.RepositoryModelUnload):
            kind = (
                pb.RepositoryModelLoadRequest
                if unknown is stub.RepositoryModelLoad
                else pb.RepositoryModelUnloadRequest
            )
            assert failed(unknown, kind(model_name="toy2")).code() is StatusCode.NOT_FOUND
        gone = pb.RepositoryModelUnloadRequest(model_name="absent")
        gone.parameters["unload_dependents"].bool_param = False  # Triton's client always says
        assert stub.RepositoryModelUnload(gone).isUnloaded is True
        assert failed(stub.ModelInfer, request).code() is StatusCode.UNAVAILABLE
