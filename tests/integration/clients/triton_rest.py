"""Triton's REST client, unmodified: `python triton_rest.py HOST:PORT`."""

import sys
from typing import Any

import ml_dtypes
import numpy as np
from checks import ARRAYS, TOY, refused, run, same
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException


def inputs(arrays: dict[str, tuple[str, Any]], *, binary: bool = True) -> list[InferInput]:
    found = []
    for name, (datatype, array) in arrays.items():
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        found.append(tensor)
    return found


def health(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert not client.is_server_ready()  # a model is not loaded
    assert client.is_model_ready("toy")
    assert client.is_model_ready("toy", "3")
    assert not client.is_model_ready("absent")
    assert not client.is_model_ready("other")


def metadata(client: InferenceServerClient) -> None:
    server = client.get_server_metadata()
    assert server["name"] == "lockstep"
    assert "binary_tensor_data" in server["extensions"]
    model = client.get_model_metadata("toy", "3")
    assert model["versions"] == ["3"]
    assert model["inputs"][1] == {"name": "distance", "datatype": "FP64", "shape": [-1]}
    assert client.get_model_metadata("echo")["inputs"][6]["shape"] == [-1, 2, 3]


def binary_both_ways_as_it_does_by_default(client: InferenceServerClient) -> None:
    result = client.infer("echo", inputs(ARRAYS), request_id="r-1")
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("echo", "3", "r-1")
    for name, (datatype, array) in ARRAYS.items():
        assert result.get_output(f"{name}_out")["datatype"] == datatype, name
        assert same(result.as_numpy(f"{name}_out"), array), name


def json_one_way_or_the_other(client: InferenceServerClient) -> None:
    plain = {name: pair for name, pair in ARRAYS.items() if pair[0] != "FP16"}  # which it cannot write as JSON
    half = inputs({"halves": ARRAYS["halves"]})
    for binary_in in (True, False):
        for binary_out in (True, False):
            wanted = [InferRequestedOutput(f"{name}_out", binary_data=binary_out) for name in ARRAYS]
            result = client.infer("echo", [*inputs(plain, binary=binary_in), *half], outputs=wanted)
            for name, (_, array) in ARRAYS.items():
                assert same(result.as_numpy(f"{name}_out"), array), name


def chosen_outputs_in_their_order(client: InferenceServerClient) -> None:
    wanted = [InferRequestedOutput("words_out", binary_data=False), InferRequestedOutput("text_out")]
    result = client.infer("echo", inputs(ARRAYS), outputs=wanted)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["words_out", "text_out"]
    assert same(result.as_numpy("words_out"), ARRAYS["words"][1])
    assert same(result.as_numpy("text_out"), ARRAYS["text"][1])


def binary_and_json_requests_have_the_same_score(client: InferenceServerClient) -> None:
    scores = {
        client.infer("toy", inputs(TOY, binary=binary)).as_numpy("probability").tobytes() for binary in (True, False)
    }
    assert len(scores) == 1


def bfloat16(client: InferenceServerClient) -> None:
    given = inputs({name: pair for name, pair in TOY.items() if name != "distance"})
    tensor = InferInput("distance", [1], "BF16")
    tensor.set_data_from_numpy(np.array([1024.0], dtype=ml_dtypes.bfloat16))
    exact = {**TOY, "distance": ("FP64", np.array([1024.0]))}
    found, expected = client.infer("toy", [*given, tensor]), client.infer("toy", inputs(exact))
    assert same(found.as_numpy("probability"), expected.as_numpy("probability"))


def many_at_a_time(client: InferenceServerClient) -> None:
    calls = [client.async_infer("toy", inputs(TOY)) for _ in range(50)]
    assert len({call.get_result().as_numpy("probability").tobytes() for call in calls}) == 1


def errors_say_what_is_wrong(client: InferenceServerClient) -> None:
    wrong = inputs({**TOY, "distance": ("BYTES", np.array(["secret"], dtype=object))})
    error = refused(client.infer, "toy", wrong, kind=InferenceServerException)
    assert error.status() == "400"
    assert "input 'distance': the datatype does not fit" in error.message()
    missing = {name: pair for name, pair in TOY.items() if name != "seats"}
    error = refused(client.infer, "toy", inputs(missing), kind=InferenceServerException)
    assert error.status() == "400"
    assert "lacks 1 of the model's input columns: 'seats'" in error.message()
    for model, version, status in (("other", "", "404"), ("toy", "9", "404"), ("absent", "", "503")):
        error = refused(client.infer, model, inputs(TOY), model_version=version, kind=InferenceServerException)
        assert error.status() == status, model
    error = refused(client.get_model_metadata, "other", kind=InferenceServerException)
    assert error.status() == "404"


def compressed_requests_are_refused(client: InferenceServerClient) -> None:
    error = refused(
        client.infer, "toy", inputs(TOY), request_compression_algorithm="gzip", kind=InferenceServerException
    )
    assert error.status() == "415"


def repository(client: InferenceServerClient) -> None:
    index = {model["name"]: model["state"] for model in client.get_model_repository_index()}
    assert index == {"toy": "READY", "echo": "READY", "sleep": "READY", "absent": "UNAVAILABLE"}
    client.load_model("absent")
    assert client.is_server_ready()
    assert client.infer("absent", inputs(TOY)).get_response()["model_version"] == "2"
    client.unload_model("absent")
    assert not client.is_model_ready("absent")
    refused(client.load_model, "other", kind=InferenceServerException)


if __name__ == "__main__":
    with InferenceServerClient(sys.argv[1], concurrency=8) as shared:
        run(
            [
                health,
                metadata,
                binary_both_ways_as_it_does_by_default,
                json_one_way_or_the_other,
                chosen_outputs_in_their_order,
                binary_and_json_requests_have_the_same_score,
                bfloat16,
                many_at_a_time,
                errors_say_what_is_wrong,
                compressed_requests_are_refused,
                repository,
            ],
            shared,
        )
