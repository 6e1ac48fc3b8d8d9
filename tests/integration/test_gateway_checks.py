"""Every form of the configuration, read by the real programs."""

from pathlib import Path

import pytest
from gateways import KINDS, RENDER, checked, program

from lockstep.serving.gateway.facts import gateway_facts
from lockstep.specs.serving_spec import load_serving
from tests.unit.serving.security.issuers import authority, issued

GRPC = "models: [{spec: a}], grpc_port: 8081"
RATES = "requests_per_s: 2.5, request_burst: 1, anonymous: {requests_per_s: 0.02}, clients: {big: {requests_per_s: 70}}"
OWN = "certificate: own.pem, key: own.key"
FORMS = {
    "bare": "models: [{spec: a}]",
    "grpc": GRPC,
    "drain": f"{GRPC}, limits: {{drain_s: 5, body_mib: 3, body_timeout_s: 0.5}}",
    "unsent": f"{GRPC}, gateway: {{repeat: unsent, timeout_s: 0.25}}",
    "outside": "models: [{spec: a}], security: {allow_anonymous: true}, gateway: {host: 0.0.0.0, plaintext: true}",
    "sixth": f"{GRPC}, gateway: {{host: '::1', trusted_proxies: [10.0.0.0/8, '2001:db8::/32']}}",
    "tls": f"{GRPC}, gateway: {{tls: {{{OWN}}}}}",
    "mutual": f"models: [{{spec: a}}], gateway: {{tls: {{{OWN}, clients_ca: ca.pem, minimum: '1.3'}}}}",
    "replicas": (
        f"{GRPC}, security: {{api_keys: keys.yaml, tls: {{{OWN}}}, mtls: {{ca: ca.pem}}}}, "
        f"gateway: {{replicas_tls: {{ca: ca.pem, name: replica.test, {OWN}}}}}"
    ),
    "rates": f"{GRPC}, security: {{rate_limit: {{{RATES}}}}}",
    "strangers": f"{GRPC}, security: {{rate_limit: {{requests_per_s: 5, clients: {{nightly: {{rows_per_s: 9}}}}}}}}",
    "mirror": f"{GRPC}, gateway: {{mirror: {{replicas: [127.0.0.9], share: 0.125}}}}",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_is_read_without_a_complaint(kind: str, form: str, tmp_path: Path) -> None:
    program(kind)
    (tmp_path / "ca.pem").write_bytes(authority("ca").pem())
    issued("ca", "own", server=True).write(tmp_path, "own")
    said = read_by(kind, f"{{{FORMS[form]}}}", tmp_path)
    assert "[warn" not in said, said
    assert "deprecated" not in said.lower(), said


def test_connections_of_an_address_are_bounded_by_nginx(tmp_path: Path) -> None:
    program("nginx")
    read_by("nginx", "{models: [{spec: a}], gateway: {connections: 20}}", tmp_path)
    assert "limit_conn lockstep_addresses 20;" in (tmp_path / "output" / "nginx.conf").read_text()


def read_by(kind: str, text: str, folder: Path) -> str:
    """Let a program read its configuration, and return what it says."""
    config, output = folder / "serving.yaml", folder / "output"
    config.write_text(text, encoding="utf-8")
    output.mkdir()
    addresses = ["127.0.0.1", *(["[::1]:80:81"] if "grpc" in text else [])]
    facts = gateway_facts(load_serving(config), addresses, config=config, output=output)
    ((name, content),) = RENDER[kind](facts).items()
    (output / name).write_text(content)
    done = checked(kind, output / name, output)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
