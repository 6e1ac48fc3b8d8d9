"""Calls to an endpoint with a canary: the same row for a customer, over REST and over gRPC."""

import json
from typing import Any

import grpc
from endpoints import JSON, Endpoint

from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub

ROW = {"city": "bern", "age": 30.0, "spend": 12.5}
Told = tuple[str, int]


def ask_rest(endpoint: Endpoint, key: str | None, rows: int = 1) -> tuple[Told, list[float]]:
    """Return arm and version that answered, and the scores."""
    body = json.dumps({"dataframe_records": [ROW] * rows}).encode()
    headers = {**JSON, **({"X-Lockstep-Key": key} if key is not None else {})}
    status, told, content = endpoint.ask("/invocations", body, headers)
    assert status == 200, content
    scores = [record["risk"] for record in content["predictions"]]
    return (told["x-lockstep-arm"], int(told["x-lockstep-model-version"])), scores


def ask_grpc(channel: grpc.Channel, key: str) -> Told:
    """Return arm and version that answered."""
    request = pb.ModelInferRequest(model_name="churn")
    for name, value in ROW.items():
        kind, contents = ("BYTES", "bytes_contents") if isinstance(value, str) else ("FP64", "fp64_contents")
        tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
        getattr(tensor.contents, contents).append(value.encode() if isinstance(value, str) else value)
    infer = GRPCInferenceServiceStub(channel).ModelInfer
    answer, call = infer.with_call(request, metadata=(("x-lockstep-key", key),), timeout=30)
    trailing: dict[str, Any] = dict(call.trailing_metadata())
    return trailing["x-lockstep-arm"], int(answer.model_version)


def metric(endpoint: Endpoint, name: str) -> dict[tuple[str, str], float]:
    """Return the values of a metric by arm and, where it has one, outcome."""
    from prometheus_client.parser import text_string_to_metric_families

    text = endpoint.ask("/metrics")[2]
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
    found: dict[tuple[str, str], float] = {}
    for sample in samples:
        place = sample.labels["arm"], sample.labels.get("outcome", "")
        found[place] = found.get(place, 0.0) + sample.value
    return found
