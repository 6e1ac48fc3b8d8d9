"""What the section `gateway` may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.specs.gateway_spec import Gateway


def test_a_short_one_has_safe_defaults() -> None:
    gateway = Gateway()
    assert (gateway.host, gateway.port, gateway.grpc_port, gateway.repeat) == ("127.0.0.1", 8000, 8001, "lost")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"host": "gateway.internal"}, "must be an IP address of this machine"),
        ({"port": 8001}, "must differ"),
        ({"repeat": "always"}, "'lost' or 'unsent'"),
        ({"trusted_proxies": ["here"]}, "does not appear to be an IPv4 or IPv6 network"),
        ({"mirror": {"replicas": ["a:b"]}}, "is no address"),
        ({"mirror": {"replicas": []}}, "at least 1"),
        ({"tls": {"certificate": 'a".pem', "key": "b"}}, "quotes"),
        ({"tls": {"certificate": "a;\nb", "key": "b"}}, "quotes"),
        ({"replicas_tls": {"ca": "ca.pem", "name": "a b"}}, "must be a DNS name"),
        ({"replicas_tls": {"ca": "ca.pem", "name": "a", "key": "k"}}, "need each other"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_mistakes_are_named(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match="validation error") as caught:
        Gateway.model_validate(facts)
    assert message in str(caught.value)
