"""Spans of a real endpoint, over REST and gRPC, as a receiver of OTLP gets them."""

import json
import signal
from collections.abc import Iterator

import grpc
import pytest
from endpoints import JSON, Endpoint, serving
from load import BODY, until
from span_receiver import Receiver, attributes, receiving
from world import World

from lockstep.services.ports import free_port
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub

STAGES = {"decode", "queue", "compute", "encode"}
SPAN = "00f067aa0ba902b7"
REST, GRPC, UNSAMPLED, LAST = (f"{number:032x}" for number in range(1, 5))
CONFIG = """
models: [{{spec: churn}}]
grpc_port: {port}
tracing: {{endpoint: "{url}", ratio: 0, service: scores}}
"""


def parent(trace: str, flags: str = "01") -> str:
    return f"00-{trace}-{SPAN}-{flags}"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def endpoint(world: World, receiver: Receiver, grpc_port: int) -> Iterator[Endpoint]:
    config = world.home / "traced.yaml"
    config.write_text(CONFIG.format(port=grpc_port, url=receiver.url), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with serving(world, "--config", str(config), spec=None) as running:
            yield running


def test_a_request_over_rest_is_a_span_of_its_caller(endpoint: Endpoint, receiver: Receiver) -> None:
    unsampled = {**JSON, "traceparent": parent(UNSAMPLED, "00")}
    assert endpoint.ask("/invocations", BODY, unsampled)[0] == 200
    assert endpoint.ask("/invocations", BODY, JSON)[0] == 200
    status, headers, _ = endpoint.ask("/invocations", BODY, {**JSON, "traceparent": parent(REST), "tracestate": "a=b"})
    assert status == 200
    until(lambda: len(receiver.of(REST)) == 1 + len(STAGES))
    found = receiver.of(REST)
    server = found.pop("POST /invocations")
    assert (server.parent_span_id.hex(), server.trace_state, server.kind) == (SPAN, "a=b", 2)
    said = attributes(server)
    assert (said["http.response.status_code"], said["lockstep.model"], said["lockstep.rows"]) == (200, "churn", 1)
    assert said["lockstep.request_id"] == headers["x-request-id"]
    assert found.keys() == STAGES
    for stage in found.values():
        assert stage.parent_span_id == server.span_id
        assert server.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
        assert stage.end_time_unix_nano <= server.end_time_unix_nano
    assert receiver.services == {"scores"}
    assert {span.trace_id.hex() for span in receiver.spans} == {REST}, "the others were not to be recorded"
    until(lambda: REST in endpoint.log.read_text())
    lines = [json.loads(line) for line in endpoint.log.read_text().splitlines() if '"trace_id"' in line]
    assert [(line["trace_id"], line["span_id"]) for line in lines] == [
        (UNSAMPLED, SPAN),
        (REST, server.span_id.hex()),
    ]


def test_a_call_over_grpc_is_one_too(endpoint: Endpoint, receiver: Receiver, grpc_port: int) -> None:
    request = pb.ModelInferRequest(model_name="churn")
    for name, kind, field, value in (
        ("city", "BYTES", "bytes_contents", b"bern"),
        ("age", "FP64", "fp64_contents", 3.0),
        ("spend", "FP64", "fp64_contents", 0.1),
    ):
        tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
        getattr(tensor.contents, field).append(value)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        stub.ModelInfer(request, timeout=30, metadata=(("traceparent", parent(GRPC)),))
        request.model_name = "nobody"
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(request, timeout=30, metadata=(("traceparent", parent(GRPC, "00")),))
    until(lambda: len(receiver.of(GRPC)) == 1 + len(STAGES))
    found = receiver.of(GRPC)
    server = found.pop("inference.GRPCInferenceService/ModelInfer")
    assert server.parent_span_id.hex() == SPAN
    said = attributes(server)
    assert (said["rpc.system.name"], said["rpc.response.status_code"], said["lockstep.rows"]) == ("grpc", "OK", 1)
    assert found.keys() == STAGES
    assert {stage.parent_span_id for stage in found.values()} == {server.span_id}


def test_spans_of_the_last_requests_leave_before_the_process_ends(endpoint: Endpoint, receiver: Receiver) -> None:
    assert endpoint.ask("/invocations", b"{", {**JSON, "traceparent": parent(LAST)})[0] == 400
    assert endpoint.stop(signal.SIGTERM) == 0
    (server,) = receiver.of(LAST).values()
    assert attributes(server)["http.response.status_code"] == 400
    assert server.status.code == 0, "the client's fault"
