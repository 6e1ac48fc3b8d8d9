"""What a gateway says itself, and whom it asks again: nginx and Envoy in front of toy replicas."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from gateways import KINDS, Gateway, ask, free_ports, gateway, own_channel, program
from grpc_endpoints import Child, child, infer_request, rest, sleep_request, toy_request
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from load import until

from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.unit.serving.toy import ROW

CONFIG = """
grpc_port: 1
models: [{{model: {{name: toy}}}}]
limits: {{body_mib: 4}}
{more}
gateway: {{port: {port}, grpc_port: {grpc_port}, timeout_s: {timeout_s}{options}}}
"""
MLFLOW = "/endpoints/toy/invocations"
INFER, SLEEP = "/v2/models/toy/infer", "/v2/models/sleep/infer"
BODY = json.dumps({"dataframe_records": [ROW]}).encode()
SLEEPS = json.dumps({"inputs": [{"name": "seconds", "datatype": "FP64", "shape": [1], "data": [4.0]}]}).encode()
LARGE = b" " * (4 * 2**20 + 1)
LONG = BODY + b" " * (3 * 2**20)  # more than is kept in memory
CONTENT = {"content_type": "application/json"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with ready_child(tmp_path_factory.mktemp("toy")) as running:
        yield running


@contextlib.contextmanager
def ready_child(folder: Path) -> Iterator[Child]:
    """Run toy models, of which none is missing."""
    with child(folder) as running:
        assert rest(running, "/v2/repository/models/absent/load", {})[0] == 200
        yield running


@contextlib.contextmanager
def before(
    kind: str, replicas: list[str], folder: Path, *, more: str = "", options: str = "", timeout_s: int = 60
) -> Iterator[Gateway]:
    program(kind)
    ports = free_ports(2)
    config = folder / "serving.yaml"
    text = CONFIG.format(more=more, options=options, timeout_s=timeout_s, port=ports[0], grpc_port=ports[1])
    config.write_text(text, encoding="utf-8")
    with gateway(kind, config, replicas, folder / "gateway") as running:
        yield running


def address(replica: Child) -> str:
    return f"127.0.0.1:{replica.http}:{replica.grpc}"


def refused(gate: Gateway, request: Any, method: str = "ModelInfer") -> grpc.RpcError:
    with own_channel(gate.target) as channel, pytest.raises(grpc.RpcError) as caught:
        getattr(GRPCInferenceServiceStub(channel), method)(request, timeout=60)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_refusals_are_in_the_words_of_the_protocol(kind: str, toy: Child, tmp_path: Path) -> None:
    with before(kind, [address(toy)], tmp_path) as gate:
        status, headers, _ = ask(gate, "POST", MLFLOW, BODY, **CONTENT)
        assert (status, headers["x-lockstep-model-name"]) == (200, "toy")
        assert len(headers.get_all("x-request-id")) == 1
        for method, path, body, expected in (
            ("POST", INFER, LARGE, 413),
            ("GET", "/v2/unknown", None, 404),
            ("POST", "/v2/repository/models/toy/load", b"{}", 403),
        ):
            status, headers, content = ask(gate, method, path, body, **CONTENT)
            told = json.loads(content)
            assert (status, set(told), headers["content-type"]) == (expected, {"error"}, "application/json"), path
            assert headers["x-request-id"]
        for path, body, code in ((MLFLOW, LARGE, "BAD_REQUEST"), ("/unknown", None, "ENDPOINT_NOT_FOUND")):
            _, headers, content = ask(gate, "POST" if body else "GET", path, body, **CONTENT)
            assert (json.loads(content)["error_code"], headers["content-type"]) == (code, "application/json")
        for path in ("/metrics", "//metrics", "/%6detrics", "/status", "/v2/../metrics", "/status.json"):
            assert ask(gate, "GET", path)[0] in {403, 404}, path
        too_large = infer_request("toy", []), b"x" * (4 * 2**20 + 2**17)
        too_large[0].raw_input_contents.append(too_large[1])
        assert refused(gate, too_large[0]).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        denied = refused(gate, pb.RepositoryModelLoadRequest(model_name="toy"), "RepositoryModelLoad")
        assert denied.code() is grpc.StatusCode.PERMISSION_DENIED
        # What a replica says is passed on as it is.
        assert refused(gate, pb.ModelInferRequest(model_name="other")).code() is grpc.StatusCode.NOT_FOUND
        until(lambda: sum(line["protocol"] == "grpc" for line in gate.lines()) == 3)
        codes = [line["grpc_status"] for line in gate.lines() if line["protocol"] == "grpc"]
        assert sorted(int(code) for code in codes) == [5, 7, 8]
        status, _, content = ask(gate, "POST", INFER, b"{}", **CONTENT)
        assert (status, set(json.loads(content))) == (400, {"error"})


@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_too_long_is_told_so(kind: str, tmp_path: Path) -> None:
    with ready_child(tmp_path) as slow, before(kind, [address(slow)], tmp_path, timeout_s=1) as gate:
        status, _, content = ask(gate, "POST", SLEEP, SLEEPS, **CONTENT)
        assert (status, set(json.loads(content))) == (504, {"error"})
        assert refused(gate, sleep_request(4.0)).code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("kind", KINDS)
def test_health_and_streams_pass(kind: str, toy: Child, tmp_path: Path) -> None:
    with before(kind, [address(toy)], tmp_path) as gate, own_channel(gate.target) as channel:
        assert json.loads(ask(gate, "GET", "/v2/health/live")[2]) == {"live": True}
        until(lambda: ask(gate, "GET", "/v2/models/toy/ready")[0] == 200)
        watched = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="toy"), timeout=60)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        watched.cancel()


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_is_one_for_all_replicas(kind: str, toy: Child, tmp_path: Path) -> None:
    more = "security: {rate_limit: {requests_per_s: 0.2, request_burst: 3}}"
    with before(kind, [address(toy)], tmp_path, more=more) as gate:
        found = [ask(gate, "POST", INFER, BODY, x_api_key="one", **CONTENT) for _ in range(5)]
        assert [status for status, _, _ in found] == [400, 400, 400, 429, 429]
        assert (found[-1][1]["retry-after"], set(json.loads(found[-1][2]))) == ("1", {"error"})
        assert ask(gate, "POST", INFER, BODY, x_api_key="another", **CONTENT)[0] == 400
        assert ask(gate, "POST", MLFLOW, BODY, **CONTENT)[0] == 200  # an address, without a key
        assert [ask(gate, "GET", "/v2/health/ready")[0] for _ in range(5)] == [200] * 5
        with own_channel(gate.target) as channel:
            infer = GRPCInferenceServiceStub(channel).ModelInfer
            for _ in range(3):
                infer(toy_request(), metadata=(("x-api-key", "third"),), timeout=60)
            with pytest.raises(grpc.RpcError) as caught:
                infer(toy_request(), metadata=(("x-api-key", "third"),), timeout=60)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


class Lost:
    """A replica that takes a request and is gone, as one that is killed.

    Attributes:
        port: Where.
        heads: Heads of the requests that it had.
    """

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self.heads: list[str] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._sock.accept()
                with connection:
                    head = connection.recv(65_536).decode("latin-1")
                    if "/v2/health/ready" in head:
                        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
                    else:
                        self.heads.append(head)

    def close(self) -> None:
        self._sock.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repeat", ["lost", "unsent"])
def test_a_request_that_a_lost_replica_had_is_repeated_only_where_it_is_said(
    kind: str, repeat: str, toy: Child, tmp_path: Path
) -> None:
    gone = Lost()
    addresses = [f"127.0.0.1:{gone.port}:{toy.grpc}", address(toy)]
    with contextlib.closing(gone), before(kind, addresses, tmp_path, options=f", repeat: {repeat}") as gate:
        ids = [f"request-{number}" for number in range(24)]
        spoofed = {"x_forwarded_for": "198.51.100.9", "x_client_verify": "SUCCESS"}
        bodies = [LONG] * 3 + [BODY] * 21
        found = [
            ask(gate, "POST", MLFLOW, body, x_request_id=each, **spoofed, **CONTENT)
            for each, body in zip(ids, bodies, strict=True)
        ]
        statuses = {status for status, _, _ in found}
        assert gone.heads
        if repeat == "lost":
            assert statuses == {200}, [(status, told[:200]) for status, _, told in found if status != 200]
        else:
            assert statuses - {200} in ({502}, {503})
            assert len(gone.heads) == sum(status != 200 for status, _, _ in found)
            assert all(headers["retry-after"] for status, headers, _ in found if status != 200)
        text = gone.heads[0].lower()
        assert f"x-request-id: {ids[0]}" in text or kind == "envoy"
        assert "198.51.100.9" not in text
        assert "x-client-verify" not in text
        # Envoy names the machine instead of its loopback.
        assert re.findall(r"x-forwarded-for: ([0-9.]+)\r", text) == ["127.0.0.1"] or kind == "envoy"
        assert "x-envoy-expected-rq-timeout-ms: 60000" in text


@pytest.mark.parametrize("kind", KINDS)
def test_shadows_get_copies(kind: str, toy: Child, tmp_path: Path) -> None:
    with ready_child(tmp_path) as shadow:
        options = f", mirror: {{replicas: ['{address(shadow)}'], share: 1}}"
        with before(kind, [address(toy)], tmp_path, options=options) as gate, own_channel(gate.target) as channel:
            assert ask(gate, "POST", MLFLOW, BODY, **CONTENT)[0] == 200
            GRPCInferenceServiceStub(channel).ModelInfer(toy_request(), timeout=60)

            def copies() -> set[str]:
                text = str(rest(shadow, "/metrics")[1])
                return {edge for edge in ("invocations", "grpc") if f'edge="{edge}",model="toy"' in text}

            until(lambda: copies() == {"invocations", "grpc"})
