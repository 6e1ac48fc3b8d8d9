"""Replicas with keys, tokens, certificates and a canary behind a gateway that does TLS itself."""

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import mlflow
import pytest
from gateway_load import churn_request
from gateways import KINDS, Gateway, free_ports, gateway, own_channel, program, replicas
from world import OTHER_GOOD, World

from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub
from lockstep.serving.security.api_keys import entry_text, new_api_key
from tests.unit.serving.security.issuers import AUDIENCE, ISSUER, authority, issued, key_set, signer

ROW = {"city": "bern", "age": 3.0, "spend": 0.1}
KEYS = [f"customer-{number}" for number in range(24)]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONFIG = """
grpc_port: 1
models:
  - model: {{name: churn}}
    routing: {{canary: {{alias: challenger, ramp: {{2024-01-01: 0.5}}, by: [customer]}}}}
security:
  api_keys: keys.yaml
  tls: {{certificate: server.pem, key: server.key}}
  jwt:
    issuer: {issuer}
    audience: {audience}
    jwks_file: signers.json
    grants: [{{models: churn, roles: [infer, read]}}]
gateway:
  port: {port}
  grpc_port: {grpc_port}
  tls: {{certificate: gate.pem, key: gate.key{clients}}}
  replicas_tls: {{ca: ca.pem, name: localhost}}
"""


@dataclass
class Guarded:
    """Running replicas and what their clients have."""

    folder: Path
    addresses: list[str]
    key: str
    token: str

    def config(self, kind: str, ports: list[int], *, clients: str = "") -> Path:
        """Write the serving.yaml, of the same replicas, for one more gateway."""
        path = self.folder / f"{kind}{'-mutual' if clients else ''}.yaml"
        told = {"issuer": ISSUER, "audience": AUDIENCE, "port": ports[0], "grpc_port": ports[1], "clients": clients}
        path.write_text(CONFIG.format(**told), encoding="utf-8")
        return path

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "ca.pem"))


@pytest.fixture(scope="module")
def guarded(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    registry = f"sqlite:///{world.home}/mlflow/mlflow.db"
    mlflow.MlflowClient(registry, registry).set_registered_model_alias("churn", "challenger", str(OTHER_GOOD))
    folder = tmp_path_factory.mktemp("guarded")
    key, entry = new_api_key("portal", models=["churn"])
    (folder / "keys.yaml").write_text("keys:\n" + entry_text(entry))
    (folder / "signers.json").write_bytes(key_set(signer("one")))
    (folder / "ca.pem").write_bytes(authority("ca").pem())
    (folder / "clients-ca.pem").write_bytes(authority("clients").pem())
    issued("ca", "server", server=True).write(folder, "server")
    issued("ca", "gate", server=True).write(folder, "gate")
    issued("clients", "batch").write(folder, "client")
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "nightly", "iat": now - 1, "exp": now + 600}
    found = Guarded(folder, [], key, signer("one").token(claims))
    with replicas(world, found.config("replicas", [1, 2]), 3) as running:
        found.addresses = running.addresses
        yield found


@pytest.fixture(scope="module", params=KINDS)
def gate(
    request: pytest.FixtureRequest, guarded: Guarded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    kind = request.param
    program(kind)
    config = guarded.config(kind, free_ports(2))
    with gateway(kind, config, guarded.addresses, tmp_path_factory.mktemp(kind)) as running:
        yield running


def rest(guarded: Guarded, port: int, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(verify=guarded.trust, base_url=f"https://localhost:{port}") as client:
        return client.post("/invocations", json={"dataframe_records": [ROW]}, headers=named)


def channel(guarded: Guarded, port: int, **facts: bytes) -> grpc.Channel:
    trust = grpc.ssl_channel_credentials((guarded.folder / "ca.pem").read_bytes(), **facts)
    return own_channel(f"localhost:{port}", trust)


def call(opened: grpc.Channel, *metadata: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the status of a call, and its trailing metadata."""
    infer = GRPCInferenceServiceStub(opened).ModelInfer
    try:
        _, done = infer.with_call(churn_request(), metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        return error.code().name, dict(error.trailing_metadata() or ())
    return "OK", dict(done.trailing_metadata())


def test_keys_and_tokens_pass_and_are_asked_for_by_the_replicas(gate: Gateway, guarded: Guarded) -> None:
    good = ({"x_api_key": guarded.key}, {"authorization": f"Bearer {guarded.key}"})
    for headers in (*good, {"authorization": f"Bearer {guarded.token}"}):
        assert rest(guarded, gate.port, **headers).status_code == 200
    refused = rest(guarded, gate.port, x_api_key="lsk_wrong")
    assert (refused.status_code, refused.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert rest(guarded, gate.port).status_code == 401
    with channel(guarded, gate.grpc_port) as opened:
        assert call(opened, ("x-api-key", guarded.key))[0] == "OK"
        assert call(opened, ("authorization", f"Bearer {guarded.token}"))[0] == "OK"
        assert call(opened, ("authorization", "Bearer wrong"))[0] == "UNAUTHENTICATED"
        assert call(opened)[0] == "UNAUTHENTICATED"


def test_the_arm_of_a_key_is_the_same_through_any_replica(gate: Gateway, guarded: Guarded) -> None:
    ports = [(int(text.split(":")[1]), int(text.split(":")[2])) for text in guarded.addresses]
    asked = [*ports, *[(gate.port, gate.grpc_port)] * 4]
    channels = [channel(guarded, grpc_port) for _, grpc_port in asked]
    arms: dict[str, set[str]] = {}
    for key in KEYS:
        text = json.dumps({"customer": key})
        over_rest = [rest(guarded, port, x_api_key=guarded.key, x_lockstep_key=text) for port, _ in asked]
        told = [call(each, ("x-api-key", guarded.key), ("x-lockstep-key", text))[1] for each in channels]
        arms[key] = {each.headers["x-lockstep-arm"] for each in over_rest} | {each["x-lockstep-arm"] for each in told}
    for each in channels:
        each.close()
    assert all(len(found) == 1 for found in arms.values()), arms
    assert set.union(*arms.values()) == {"champion", "challenger"}


def test_the_log_says_who_answered_and_no_secret(gate: Gateway, guarded: Guarded) -> None:
    answer = rest(guarded, gate.port, x_api_key=guarded.key, x_request_id="by-rest", traceparent=PARENT)
    assert answer.headers["x-request-id"] == "by-rest"
    with channel(guarded, gate.grpc_port) as opened:
        trailing = call(opened, ("x-api-key", guarded.key), ("x-request-id", "by-grpc"), ("traceparent", PARENT))[1]
    with httpx.Client(verify=guarded.trust, base_url=f"https://localhost:{gate.port}") as client:
        client.get("/v2/models/churn", params={"token": guarded.key}, headers={"X-Request-Id": "asked"})
    for line, told in ((gate.logged("by-rest"), answer.headers), (gate.logged("by-grpc"), trailing)):
        assert (line["model"], line["status"], line["traceparent"]) == ("churn", 200, PARENT)
        assert (line["version"], line["arm"]) == (told["x-lockstep-model-version"], told["x-lockstep-arm"])
        assert line["tls"].startswith("TLSv1")
        assert line["upstream"].startswith("127.0.0.1:")
    assert gate.logged("asked")["path"] == "/v2/models/churn"
    for text in (gate.log.read_text(), gate.said.read_text()):
        assert guarded.key not in text
        assert guarded.token not in text
        assert "Bearer" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_who_shows_no_certificate_is_not_let_in(kind: str, guarded: Guarded, tmp_path: Path) -> None:
    program(kind)
    config = guarded.config(kind, free_ports(2), clients=", clients_ca: clients-ca.pem")
    with gateway(kind, config, guarded.addresses, tmp_path) as strict:
        url, body = f"https://localhost:{strict.port}/invocations", {"dataframe_records": [ROW]}
        try:
            refused = httpx.post(url, json=body, verify=guarded.trust, headers={"X-API-Key": guarded.key})
        except httpx.HTTPError:
            assert kind == "envoy"  # which ends the connection
        else:
            assert (refused.status_code, refused.json()["error_code"]) == (400, "BAD_REQUEST")
        own = guarded.trust
        own.load_cert_chain(guarded.folder / "client.pem", guarded.folder / "client.key")
        assert httpx.post(url, json=body, verify=own, headers={"X-API-Key": guarded.key}).status_code == 200
        # Whose certificate it is gives no rights.
        assert httpx.post(url, json=body, verify=own).status_code == 401
        files = {
            name: (guarded.folder / f"client.{end}").read_bytes()
            for name, end in (("private_key", "key"), ("certificate_chain", "pem"))
        }
        with channel(guarded, strict.grpc_port, **files) as opened:
            assert call(opened, ("x-api-key", guarded.key))[0] == "OK"
        with channel(guarded, strict.grpc_port) as opened:
            assert call(opened, ("x-api-key", guarded.key))[0] in {"UNAUTHENTICATED", "UNAVAILABLE"}
