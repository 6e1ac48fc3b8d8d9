"""A stop that costs nobody a request: readiness first, then new connections, then those that are open."""

import contextlib
import http.client
import signal
import socket
from pathlib import Path

import grpc
import pytest
from endpoints import JSON, serving
from grpc_endpoints import child, rest, toy_request
from inference_logs import logged
from load import BODY, until
from world import World

from lockstep.services.ports import free_port
from lockstep.serving.grpc.door import OPEN_FILES, refuse_connections
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub

DRAINING = """
workers: {workers}
models: [{{spec: churn}}]
limits: {{drain_s: 1.5}}
log: {{flush_s: 0.1}}
grpc_port: {grpc_port}
"""


def refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_are_answered_until_nobody_can_connect_any_more(world: World, workers: int) -> None:
    config = world.home / "draining.yaml"
    config.write_text(DRAINING.format(workers=workers, grpc_port=free_port()), encoding="utf-8")
    with serving(world, "--config", str(config), spec=None) as endpoint:
        kept = http.client.HTTPConnection(*endpoint.address, timeout=30)
        with contextlib.closing(kept):
            kept.request("POST", "/invocations", BODY, JSON)
            assert kept.getresponse().read()
            endpoint.process.send_signal(signal.SIGTERM)
            until(lambda: endpoint.ask("/v2/health/ready")[0] == 503)
            assert endpoint.ask("/invocations", BODY, JSON)[0] == 200
            kept.request("POST", "/invocations", BODY, JSON)
            answer = kept.getresponse()
            assert (answer.status, answer.getheader("connection")) == (200, "close")
            assert answer.read()
        until(lambda: refused(endpoint.address))
        assert endpoint.process.wait(20) == 0
        assert "Traceback" not in endpoint.log.read_text()
    assert len(logged(world.home / "inference_log")) == 3 * workers  # also of the run before
    assert not list((world.home / "inference_log" / ".open").iterdir())


def test_nothing_but_the_port_is_touched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as other:
        before = len(list(OPEN_FILES.iterdir()))
        refuse_connections(ours.getsockname()[1])
        assert len(list(OPEN_FILES.iterdir())) == before
        assert refused(ours.getsockname())
        assert not refused(other.getsockname())


def test_calls_are_answered_while_their_connections_come_of_age(tmp_path: Path) -> None:
    def answered(channel: grpc.Channel) -> bool:
        try:
            GRPCInferenceServiceStub(channel).ModelInfer(toy_request(), timeout=10)
        except grpc.RpcError as error:
            failures.append(str(error))
            return False
        return True

    failures: list[str] = []
    with child(tmp_path, "--drain-s", "1") as stopping, grpc.insecure_channel(stopping.target) as channel:
        assert answered(channel)
        stopping.process.terminate()
        until(lambda: rest(stopping, "/v2/health/ready")[0] == 503)
        assert answered(channel)
        until(lambda: not answered(channel))
        assert stopping.process.wait(20) == 0
    # Nothing else may fail than to connect anew.
    assert all("Connection refused" in failure for failure in failures), failures
