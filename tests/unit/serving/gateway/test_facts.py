"""What a gateway is told, from a serving.yaml."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import SpecError
from lockstep.serving.gateway.facts import ClientRate, rates_of
from lockstep.specs.serving_security import RateLimit
from tests.unit.serving.gateway.configurations import TLS, facts_of

KEYS = {"api_keys": "keys.yaml"}
CA = {"ca": "ca.pem"}


def test_bounds_are_those_of_the_replicas() -> None:
    facts = facts_of(limits={"body_mib": 3, "stuck_s": 7, "drain_s": 4, "idle_s": 60})
    assert (facts.body_bytes, facts.message_bytes) == (3 * 2**20, 3 * 2**20 + 64 * 2**10 + 5)
    assert facts.timeout_ms == 7200
    assert facts_of(gateway={"timeout_s": 0.25}).timeout_ms == 250
    assert [(each.rest, each.grpc) for each in facts.replicas] == [
        ("10.0.0.1:8080", "10.0.0.1:8081"),
        ("10.0.0.2:9000", "10.0.0.2:9001"),
    ]


@given(st.floats(1, 600), st.floats(2, 600))
def test_the_gateway_closes_a_connection_before_the_replica_would(drain_s: float, idle_s: float) -> None:
    idle_ms = facts_of(limits={"drain_s": drain_s, "idle_s": idle_s}).idle_ms
    assert 0 < idle_ms <= 1000 * min(drain_s, idle_s) / 2


def test_files_are_found_from_where_the_configuration_will_be() -> None:
    facts = facts_of()
    assert facts.path("tls/own.pem") == "../lockstep/tls/own.pem"
    assert facts.path("/run/own.pem") == "/run/own.pem"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"gateway": {"host": "0.0.0.0"}}, "anybody could use it: add security.api_keys"),
        ({"gateway": {"host": "0.0.0.0"}, "security": KEYS}, "add gateway.tls"),
        ({"security": {"tls": TLS, **KEYS}}, "say gateway.replicas_tls"),
        ({"gateway": {"replicas_tls": {**CA, "name": "x"}}}, "the replicas speak plain text"),
        ({"security": {"tls": TLS, "mtls": {**CA, "others": {"models": "*"}}}}, "certificates, which end at a gateway"),
        (
            {"security": {"tls": TLS, "mtls": CA, **KEYS}, "gateway": {"replicas_tls": {**CA, "name": "x"}}},
            "ask the gateway for a certificate too",
        ),
        ({"gateway": {"mirror": {"replicas": ["10.0.0.1:8080"]}}}, "10.0.0.1:8080 answers already"),
        ({"limits": {"drain_s": 0.5}}, "too short for a gateway to turn away"),
        ({"limits": {"idle_s": 1}}, "replicas would close connections"),
        ({"gateway": {"timeout_s": 0.001}}, "expected 0.01 or more"),
    ],
)
def test_what_a_gateway_could_not_keep_is_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match="serving") as caught:
        facts_of(**facts)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("replicas", "message"),
    [
        (["a b"], "is no address of a replica"),
        (["a:0"], "is no address"),
        (["a:1:2:3"], "is no address"),
        (["a;b"], "is no address"),
        (["a:70000"], "is no address"),
        (["a", "a:8080"], "a:8080 is named twice"),
    ],
)
def test_addresses_are_checked(replicas: list[str], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        facts_of(*replicas)
    assert message in str(caught.value)


def test_ports_must_be_known() -> None:
    with pytest.raises(SpecError, match="the configuration has no 'grpc_port'"):
        facts_of("a:1:2", grpc_port=None)
    with pytest.raises(SpecError, match="needs its ports"):
        facts_of("a", port=0)


def test_rates_are_those_of_the_client_with_the_largest_share() -> None:
    assert rates_of(None).known is None
    limit = RateLimit.model_validate({"requests_per_s": 5, "clients": {"big": {"requests_per_s": 70.5}}})
    assert rates_of(limit).known == ClientRate(70.5, 70)
    assert rates_of(limit).strangers == ClientRate(5, 5)
    unbounded = RateLimit.model_validate({"requests_per_s": 5, "clients": {"big": {"rows_per_s": 7}}})
    assert rates_of(unbounded).known is None
    strict = RateLimit.model_validate({"requests_per_s": 5, "anonymous": {"requests_per_s": 0.5}})
    assert rates_of(strict).strangers == ClientRate(0.5, 1)
