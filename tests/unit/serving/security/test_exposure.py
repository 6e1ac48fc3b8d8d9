from typing import Any

import pytest

from lockstep.serving.security.errors import ExposureRefused
from lockstep.serving.security.exposure import check_exposure
from lockstep.specs.serving_security import ServingSecurity

TLS = {"certificate": "a", "key": "b"}
KEYS = {"api_keys": "keys.yaml"}
WITHOUT_CREDENTIALS, WITHOUT_TLS = "security.allow_anonymous: true", "security.plaintext: true"


def security(**facts: Any) -> ServingSecurity:
    return ServingSecurity.model_validate(facts)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_nothing(host: str) -> None:
    check_exposure(host, security())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "endpoint.example.com"])
@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        ({}, {WITHOUT_CREDENTIALS, WITHOUT_TLS}),
        ({"plaintext": True}, {WITHOUT_CREDENTIALS}),
        ({"tls": TLS}, {WITHOUT_CREDENTIALS}),
        (KEYS, {WITHOUT_TLS}),
        ({"allow_anonymous": True}, {WITHOUT_TLS}),
        ({"allow_anonymous": True, "plaintext": True}, set()),
        ({**KEYS, "tls": TLS}, set()),
        ({**KEYS, "plaintext": True}, set()),
        ({"tls": TLS, "allow_anonymous": True}, set()),
        ({"tls": TLS, "mtls": {"ca": "c", "others": {"models": "*"}}}, set()),
    ],
)
def test_other_machines_need_credentials_and_tls_unless_it_is_said(
    host: str, facts: dict[str, Any], missing: set[str]
) -> None:
    if not missing:
        check_exposure(host, security(**facts))
        return
    with pytest.raises(ExposureRefused) as caught:
        check_exposure(host, security(**facts))
    message = str(caught.value)
    assert repr(host) in message
    assert {hint for hint in (WITHOUT_CREDENTIALS, WITHOUT_TLS) if hint in message} == missing
    assert "listen on 127.0.0.1" in message
