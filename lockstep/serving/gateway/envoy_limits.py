"""How much Envoy lets through: rates of clients, and sizes of bodies."""

import math
from typing import Any

from lockstep.serving.gateway.facts import ClientRate, GatewayFacts
from lockstep.serving.gateway.messages import RETRY_S

API = "type.googleapis.com/envoy."
CREDENTIALS = ("authorization", "x-api-key")
CLIENTS = 10_000
UNBOUNDED = 1_000_000_000
BODY, RATE = "envoy.filters.http.buffer", "envoy.filters.http.local_ratelimit"

Part = dict[str, Any]


def body_filter(facts: GatewayFacts, name: str) -> Part:
    """Return what refuses bodies that are too large, and keeps the others until they are answered."""
    limit = facts.message_bytes if name == "grpc" else facts.body_bytes
    return {
        "name": BODY,
        "typed_config": {"@type": API + "extensions.filters.http.buffer.v3.Buffer", "max_request_bytes": limit},
    }


def unbuffered() -> Part:
    """Return what a route says whose requests are streams."""
    return {BODY: {"@type": API + "extensions.filters.http.buffer.v3.BufferPerRoute", "disabled": True}}


def rate_filter(facts: GatewayFacts) -> list[Part]:
    """Return what counts the requests of each client, by what it shows or else by its address."""
    rates, descriptors = facts.rates, []
    if rates.known is not None:
        descriptors += [{"entries": [{"key": name}], "token_bucket": _bucket(rates.known)} for name in CREDENTIALS]
    if rates.strangers is not None:
        entries = [*({"key": f"no_{name}", "value": "none"} for name in CREDENTIALS), {"key": "remote_address"}]
        descriptors.append({"entries": entries, "token_bucket": _bucket(rates.strangers)})
    if not descriptors:
        return []
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    config = {
        "@type": API + "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "clients",
        "filter_enabled": always,
        "filter_enforced": always,
        "token_bucket": {"max_tokens": UNBOUNDED, "tokens_per_fill": UNBOUNDED, "fill_interval": "1s"},
        "always_consume_default_token_bucket": False,
        "rate_limited_as_resource_exhausted": True,
        "max_dynamic_descriptors": CLIENTS,
        "response_headers_to_add": [{"header": {"key": "retry-after", "value": str(RETRY_S)}}],
        "rate_limits": _actions(facts),
        "descriptors": descriptors,
    }
    return [{"name": RATE, "typed_config": config}]


def unlimited(facts: GatewayFacts) -> Part:
    """Return what a route says whose requests are not counted."""
    if not rate_filter(facts):
        return {}
    off = {"@type": API + "config.route.v3.FilterConfig", "disabled": True}
    return {RATE: off}


def _actions(facts: GatewayFacts) -> list[Part]:
    """Return what is said of a request for it to be counted."""
    found: list[Part] = []
    if facts.rates.known is not None:
        told = [{"request_headers": {"header_name": name, "descriptor_key": name}} for name in CREDENTIALS]
        found += [{"actions": [each]} for each in told]
    if facts.rates.strangers is not None:
        found.append({"actions": [*(_without(name) for name in CREDENTIALS), {"remote_address": {}}]})
    return found


def _without(name: str) -> Part:
    header = {"name": name, "present_match": True}
    match = {"descriptor_key": f"no_{name}", "descriptor_value": "none", "expect_match": False, "headers": [header]}
    return {"header_value_match": match}


def _bucket(rate: ClientRate) -> Part:
    """Return a rate as Envoy has it, never more than it is."""
    if rate.per_s >= 1:
        return {"max_tokens": rate.burst, "tokens_per_fill": int(rate.per_s), "fill_interval": "1s"}
    return {"max_tokens": rate.burst, "tokens_per_fill": 1, "fill_interval": f"{math.ceil(1000 / rate.per_s) / 1000}s"}
