"""Triton's gRPC client, unmodified: `python triton_grpc.py HOST:PORT`, or for the messages that it knows `protocol`."""

import queue
import sys
import time
from typing import Any

import ml_dtypes
import numpy as np
from checks import ARRAYS, TOY, print_protocol, refused, run, same
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.grpc import service_pb2 as protocol
from tritonclient.utils import InferenceServerException


def inputs(arrays: dict[str, tuple[str, Any]]) -> list[InferInput]:
    found = []
    for name, (datatype, array) in arrays.items():
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        found.append(tensor)
    return found


def sleep(seconds: float) -> list[InferInput]:
    return inputs({"seconds": ("FP64", np.array([seconds]))})


def health(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert not client.is_server_ready()  # a model is not loaded
    assert client.is_model_ready("toy", "3")
    assert not client.is_model_ready("absent")
    error = refused(client.is_model_ready, "other", kind=InferenceServerException)
    assert error.status() == "StatusCode.NOT_FOUND"


def metadata(client: InferenceServerClient) -> None:
    assert client.get_server_metadata().name == "lockstep"
    model = client.get_model_metadata("echo", as_json=True)
    assert model["versions"] == ["3"]
    assert model["inputs"][6] == {"name": "picture", "datatype": "FP32", "shape": ["-1", "2", "3"]}


def every_type_comes_back_as_it_went(client: InferenceServerClient) -> None:
    result = client.infer("echo", inputs(ARRAYS), request_id="r-1")
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("echo", "3", "r-1")
    for name, (_, array) in ARRAYS.items():
        assert same(result.as_numpy(f"{name}_out"), array), name


def chosen_outputs_in_their_order(client: InferenceServerClient) -> None:
    result = client.infer(
        "echo", inputs(ARRAYS), outputs=[InferRequestedOutput("words_out"), InferRequestedOutput("text_out")]
    )
    assert [output.name for output in result.get_response().outputs] == ["words_out", "text_out"]
    assert same(result.as_numpy("words_out"), ARRAYS["words"][1])


def bfloat16(client: InferenceServerClient) -> None:
    narrow = {**TOY, "distance": ("BF16", np.array([1024.0], dtype=ml_dtypes.bfloat16))}
    exact = {**TOY, "distance": ("FP64", np.array([1024.0]))}
    found, expected = client.infer("toy", inputs(narrow)), client.infer("toy", inputs(exact))
    assert same(found.as_numpy("probability"), expected.as_numpy("probability"))


def many_at_a_time(client: InferenceServerClient) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    for _ in range(50):
        client.async_infer("toy", inputs(TOY), lambda result, error: answers.put((result, error)))
    found = [answers.get(timeout=30) for _ in range(50)]
    assert all(error is None for _, error in found)
    assert len({result.as_numpy("probability").tobytes() for result, _ in found}) == 1


def a_timeout_is_kept(client: InferenceServerClient) -> None:
    began = time.monotonic()
    error = refused(client.infer, "sleep", sleep(2.0), client_timeout=0.3, kind=InferenceServerException)
    assert error.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 1.5


def errors_say_what_is_wrong(client: InferenceServerClient) -> None:
    wrong = inputs({**TOY, "distance": ("BYTES", np.array(["secret"], dtype=object))})
    error = refused(client.infer, "toy", wrong, kind=InferenceServerException)
    assert error.status() == "StatusCode.INVALID_ARGUMENT"
    assert "input 'distance': the datatype does not fit" in error.message()
    for model, version, status in (
        ("other", "", "NOT_FOUND"),
        ("toy", "9", "NOT_FOUND"),
        ("absent", "", "UNAVAILABLE"),
    ):
        error = refused(client.infer, model, inputs(TOY), model_version=version, kind=InferenceServerException)
        assert error.status() == f"StatusCode.{status}", model


def what_is_not_there_is_unimplemented(client: InferenceServerClient) -> None:
    for call in (client.get_model_config, client.get_inference_statistics):
        error = refused(call, "toy", kind=InferenceServerException)
        assert error.status() == "StatusCode.UNIMPLEMENTED"
    options = {"compression_algorithm": "gzip", "kind": InferenceServerException}
    assert refused(client.infer, "toy", inputs(TOY), **options).status() == "StatusCode.UNIMPLEMENTED"


def repository(client: InferenceServerClient) -> None:
    index = {model.name: model.state for model in client.get_model_repository_index().models}
    assert index == {"toy": "READY", "echo": "READY", "sleep": "READY", "absent": "UNAVAILABLE"}
    client.load_model("absent")
    assert client.is_server_ready()
    assert client.infer("absent", inputs(TOY)).get_response().model_version == "2"
    client.unload_model("absent")
    assert not client.is_model_ready("absent")


if __name__ == "__main__":
    if sys.argv[1] == "protocol":
        print_protocol(protocol.DESCRIPTOR)
        sys.exit()
    with InferenceServerClient(sys.argv[1]) as shared:
        run(
            [
                health,
                metadata,
                every_type_comes_back_as_it_went,
                chosen_outputs_in_their_order,
                bfloat16,
                many_at_a_time,
                a_timeout_is_kept,
                errors_say_what_is_wrong,
                what_is_not_there_is_unimplemented,
                repository,
            ],
            shared,
        )
