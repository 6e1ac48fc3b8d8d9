"""KServe's gRPC client, unmodified: `python kserve_grpc.py HOST:PORT`, or for the messages that it knows `protocol`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from checks import ARRAYS, TOY, print_protocol, refused_later, run, same
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as protocol


def request(arrays: dict[str, tuple[str, Any]], model: str, *, raw: bool) -> InferRequest:
    tensors = []
    for name, (datatype, array) in arrays.items():
        if raw:
            tensor = InferInput(name, list(array.shape), datatype)
            tensor.set_data_from_numpy(array)
        else:
            flat = array.reshape(-1).tolist()
            values = [value.encode() if isinstance(value, str) else value for value in flat]
            tensor = InferInput(name, list(array.shape), datatype, data=values)
        tensors.append(tensor)
    return InferRequest(model_name=model, infer_inputs=tensors, request_id="k-1")


@asynccontextmanager
async def client(target: str) -> AsyncIterator[InferenceGRPCClient]:
    async with InferenceGRPCClient(target, retries=0) as found:
        yield found


async def health(target: str) -> None:
    async with client(target) as found:
        assert await found.is_server_live() is True
        assert await found.is_server_ready() is False  # a model is not loaded
        assert await found.is_model_ready("toy") is True
        assert await found.is_model_ready("absent") is False


async def raw_tensors_of_every_type(target: str) -> None:
    async with client(target) as found:
        response = await found.infer(request(ARRAYS, "echo", raw=True))
    assert (response.model_name, response.model_version, response.id) == ("echo", "3", "k-1")
    for output in response.outputs:
        assert same(output.as_numpy(), ARRAYS[output.name.removesuffix("_out")][1]), output.name


async def typed_tensors_have_the_same_score(target: str) -> None:
    scores = set()
    async with client(target) as found:
        for raw in (True, False):
            response = await found.infer(request(TOY, "toy", raw=raw))
            scores.add(response.outputs[0].as_numpy().tobytes())
    assert len(scores) == 1


async def errors_say_what_is_wrong(target: str) -> None:
    missing = {name: pair for name, pair in TOY.items() if name != "seats"}
    async with client(target) as found:
        for arrays, model, code, message in (
            (missing, "toy", grpc.StatusCode.INVALID_ARGUMENT, "lacks 1 of the model's input columns: 'seats'"),
            (TOY, "other", grpc.StatusCode.NOT_FOUND, "model 'other' is not served here"),
            (TOY, "absent", grpc.StatusCode.UNAVAILABLE, "model 'absent' is not ready"),
        ):
            error = await refused_later(found.infer(request(arrays, model, raw=True)), kind=grpc.RpcError)
            assert error.code() is code, model
            assert message in error.details(), error.details()


if __name__ == "__main__":
    if sys.argv[1] == "protocol":
        print_protocol(protocol.DESCRIPTOR)
        sys.exit()
    run([health, raw_tensors_of_every_type, typed_tensors_have_the_same_score, errors_say_what_is_wrong], sys.argv[1])
