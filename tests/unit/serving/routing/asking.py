"""Requests to the toy endpoint over both protocols, and who answered them."""

from typing import Any

from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.calls import Call
from lockstep.serving.grpc.servicer import InferenceServicer
from lockstep.serving.tensors import DATATYPES
from lockstep.serving.trace import Trace
from tests.unit.serving.routing.trials import Routed
from tests.unit.serving.tensor_requests import Sent
from tests.unit.serving.toy import INPUTS


def arm_of(answer: Any) -> tuple[str, int]:
    assert answer.status == 200, answer.body
    return answer.headers["x-lockstep-arm"], int(answer.headers["x-lockstep-model-version"])


def scores(answer: Any) -> list[float]:
    return [record["probability"] for record in answer.json()["predictions"]]


def infer(rows: list[dict[str, Any]], *, version: str = "", padding: int = 0) -> bytes:
    request = pb.ModelInferRequest(model_name="toy", model_version=version)
    for column in INPUTS:
        if column.required:
            sent = Sent(column, DATATYPES[column.dtype][0], len(rows), [row[column.name] for row in rows])
            request.inputs.add(name=column.name, datatype=sent.datatype, shape=[len(rows)])
            request.raw_input_contents.append(sent.raw)
    if padding:
        request.parameters["pad"].string_param = "x" * padding
    return bytes(request.SerializeToString())


class Context:
    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


async def call(endpoint: Routed, message: bytes, *metadata: tuple[str, str]) -> tuple[str, dict[str, str], Trace]:
    """Ask over gRPC; return the version, the trailing metadata and what the log would say."""
    servicer = InferenceServicer(endpoint.plane, endpoint.repository)
    one = Call("/inference.GRPCInferenceService/ModelInfer", Context(*metadata), Trace("q", edge="grpc"))
    answer = pb.ModelInferResponse.FromString(await servicer.model_infer(message, one))
    return answer.model_version, dict(one.headers), one.trace
