"""KServe's REST client, unmodified: `python kserve_rest.py HOST:PORT`."""

import sys
from typing import Any

from checks import ARRAYS, TOY, refused_later, run, same
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def request(
    arrays: dict[str, tuple[str, Any]], model: str, *, binary: bool, outputs: bool | None = None
) -> InferRequest:
    tensors = []
    for name, (datatype, array) in arrays.items():
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    parameters = {} if outputs is None else {"binary_data_output": outputs}
    return InferRequest(model_name=model, infer_inputs=tensors, request_id="k-1", parameters=parameters)


def client() -> InferenceRESTClient:
    return InferenceRESTClient(RESTConfig(protocol="v2", retries=0))


async def answer(base: str, given: InferRequest, model: str) -> InferResponse:
    found = client()
    try:
        return await found.infer(base, given, model_name=model)
    finally:
        await found.close()


async def health(base: str) -> None:
    found = client()
    assert await found.is_server_live(base) is True
    assert await found.is_model_ready(base, "toy") is True
    assert await found.is_model_ready(base, "absent") is False
    error = await refused_later(found.is_server_ready(base), kind=HTTPStatusError)
    assert error.response.status_code == 503
    assert "a model is not loaded" in str(error)
    await found.close()


async def every_type_comes_back_as_it_went(base: str) -> None:
    for outputs in (True, False, None):
        response = await answer(base, request(ARRAYS, "echo", binary=True, outputs=outputs), "echo")
        assert (response.model_name, response.id) == ("echo", "k-1")  # of the version it does not tell
        for output in response.outputs:
            array = ARRAYS[output.name.removesuffix("_out")][1]
            assert same(output.as_numpy(), array), (output.name, outputs)


async def json_and_binary_requests_have_the_same_score(base: str) -> None:
    scores = set()
    for binary in (True, False):
        response = await answer(base, request(TOY, "toy", binary=binary), "toy")
        scores.add(response.outputs[0].as_numpy().tobytes())
    assert len(scores) == 1


async def a_chosen_output(base: str) -> None:
    given = request(ARRAYS, "echo", binary=True)
    given.request_outputs = [RequestedOutput("words_out", parameters={"binary_data": True})]
    response = await answer(base, given, "echo")
    assert [output.name for output in response.outputs] == ["words_out"]
    assert same(response.outputs[0].as_numpy(), ARRAYS["words"][1])


async def errors_say_what_is_wrong(base: str) -> None:
    missing = {name: pair for name, pair in TOY.items() if name != "seats"}
    for arrays, model, status, message in (
        (missing, "toy", 400, "lacks 1 of the model's input columns: 'seats'"),
        (TOY, "other", 404, "model 'other' is not served here"),
        (TOY, "absent", 503, "model 'absent' is not ready"),
    ):
        for binary in (True, False):
            error = await refused_later(
                answer(base, request(arrays, model, binary=binary), model), kind=HTTPStatusError
            )
            assert error.response.status_code == status, model
            assert message in str(error), str(error)


if __name__ == "__main__":
    run(
        [
            health,
            every_type_comes_back_as_it_went,
            json_and_binary_requests_have_the_same_score,
            a_chosen_output,
            errors_say_what_is_wrong,
        ],
        f"http://{sys.argv[1]}",
    )
