"""How long a client waits for its answer, as far as it says so."""

from collections.abc import Mapping
from typing import Any

from lockstep.errors import RequestInvalid
from lockstep.serving.exchange import Exchange
from lockstep.serving.json_body import json_kind

# Milliseconds from the request's arrival. The second is what Envoy, and so Istio, tells the servers behind it:
# https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter
HEADERS = ("x-request-timeout-ms", "x-envoy-expected-rq-timeout-ms")
# Of an inference request, in microseconds, 0 for none:
# https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_schedule_policy.md
PARAMETER = "timeout"
DIGITS = 12


def expire(exchange: Exchange) -> None:
    """Let a request expire when its headers say; the sooner of them counts.

    Raises:
        RequestInvalid: One of them is no whole number of milliseconds above 0.
    """
    for name in HEADERS:
        text = exchange.header(name)
        if text is not None:
            if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS and int(text)):
                raise RequestInvalid(f"header {name} must be a whole number of milliseconds, 1 or more")
            exchange.trace.expire_in(int(text) / 1e3)


def timeout_s(parameters: Mapping[str, Any]) -> float | None:
    """Return the timeout that the parameters of an inference request name, in seconds from its arrival, if any.

    Raises:
        RequestInvalid: It is no whole number of microseconds.
    """
    value = parameters.get(PARAMETER)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 5.0 is an integer in JSON
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        got = "a negative number" if isinstance(value, int | float) and value < 0 else json_kind(value)
        raise RequestInvalid(f"parameters.{PARAMETER} must be a whole number of microseconds, got {got}")
    return value / 1e6 if value else None
