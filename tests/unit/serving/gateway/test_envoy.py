"""Envoy's configuration as a document; whether Envoy reads it is for the integration tests."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import SpecError
from lockstep.serving.gateway.envoy import render_envoy
from lockstep.serving.gateway.envoy_limits import _bucket
from lockstep.serving.gateway.facts import ClientRate
from tests.unit.serving.gateway.configurations import facts_of


def document(**facts: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render_envoy(facts_of(**facts))["envoy.yaml"])
    return found["static_resources"]  # type: ignore[no-any-return]


def manager(part: dict[str, Any], place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = part["listeners"][place]["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@given(st.floats(0.01, 1e5), st.integers(1, 1000))
def test_a_rate_is_never_more_than_it_is(per_s: float, burst: int) -> None:
    bucket = _bucket(ClientRate(per_s, burst))
    assert bucket["max_tokens"] == burst
    assert 0 < bucket["tokens_per_fill"] / seconds(bucket["fill_interval"]) <= per_s * (1 + 1e-9)


def test_each_client_is_counted_but_not_who_asks_for_health() -> None:
    found = manager(document(security={"rate_limit": {"requests_per_s": 5}}))
    assert len(found["http_filters"][0]["typed_config"]["descriptors"]) == 3  # keys, tokens, addresses
    routes = found["route_config"]["virtual_hosts"][0]["routes"]
    assert ["typed_per_filter_config" in each for each in routes] == [False, False, True, True, True]


def test_what_may_be_repeated_is_said_once_for_each_route() -> None:
    for repeat, sent in (("lost", "reset"), ("unsent", "reset-before-request")):
        for place in (0, 1):
            routes = manager(document(gateway={"repeat": repeat}), place)["route_config"]["virtual_hosts"][0]["routes"]
            policies = [each["route"]["retry_policy"] for each in routes if "route" in each]
            assert policies[0]["retry_on"] == f"connect-failure,refused-stream,{sent}"
            assert not any("5xx" in each["retry_on"] or "timeout" in each["retry_on"] for each in policies)


def test_replicas_are_asked_for_their_health_and_named_ones_looked_up() -> None:
    rest, grpc = document()["clusters"]
    assert rest["health_checks"][0]["http_health_check"] == {"path": "/v2/health/ready"}
    assert grpc["health_checks"][0]["grpc_health_check"] == {}
    assert (rest["type"], rest["lb_policy"]) == ("STATIC", "LEAST_REQUEST")
    named = render_envoy(facts_of("replica-1.internal", grpc_port=None))["envoy.yaml"]
    (cluster,) = yaml.safe_load(named)["static_resources"]["clusters"]
    assert cluster["type"] == "STRICT_DNS"


def test_its_own_answers_are_json() -> None:
    for mapper in manager(document())["local_reply_config"]["mappers"]:
        form = mapper["body_format_override"]
        assert form["content_type"] == "application/json"
        assert json.loads(form["text_format_source"]["inline_string"]).keys() in ({"error"}, {"error_code", "message"})


def test_says_what_it_cannot_do() -> None:
    with pytest.raises(SpecError, match="Envoy does not bound the connections of an address"):
        document(gateway={"connections": 7})
