from typing import Any

import pytest

from lockstep.serving.security.certificates import (
    CertificateClients,
    PeerCertificate,
    from_auth_context,
    read_der,
    read_pem,
)
from lockstep.serving.security.errors import Unauthenticated
from lockstep.specs.serving_security import Mtls
from tests.unit.serving.security.issuers import Certified, issued

NIGHTLY = issued("ca", "nightly", uris=["spiffe://example/nightly"], dns=["Nightly.Example.com"])
TODAY = (read_der(NIGHTLY.der()).begins + read_der(NIGHTLY.der()).ends) / 2


def clients(*entries: dict[str, Any], **facts: Any) -> CertificateClients:
    return CertificateClients(Mtls.model_validate({"ca": "ca.pem", "clients": entries, **facts}))


def test_what_a_certificate_says() -> None:
    found = read_der(NIGHTLY.der())
    assert found.names == (
        ("uri", "spiffe://example/nightly"),
        ("dns", "nightly.example.com"),
        ("common_name", "nightly"),
    )
    assert found.begins < found.ends
    assert read_pem(NIGHTLY.pem()) == found
    assert read_pem(issued("ca", "nightly").pem()) != found


def test_several_common_names_are_none() -> None:
    assert read_der(issued("ca", "nightly", "admin").der()).names == ()


def context(certified: Certified, **facts: Any) -> dict[str, list[bytes]]:
    return {"transport_security_type": [b"ssl"], "x509_pem_cert": [certified.pem()], **facts}


def test_grpc_gives_the_same() -> None:
    assert from_auth_context(context(NIGHTLY)) == read_der(NIGHTLY.der())
    assert from_auth_context({}) is None
    assert from_auth_context({"transport_security_type": [b"ssl"]}) is None
    assert from_auth_context(context(NIGHTLY, transport_security_type=[b"insecure"])) is None


@pytest.mark.parametrize(
    "match",
    [
        {"uri": "spiffe://example/nightly"},
        {"dns": "nightly.example.COM"},
        {"common_name": "nightly"},
    ],
)
def test_a_client_is_known_by_one_of_its_names(match: dict[str, str]) -> None:
    known = clients({"name": "batch", "models": ["churn"], "roles": ["infer"], **match})
    client = known.client_of(read_der(NIGHTLY.der()), now=TODAY)
    assert (client.name, client.method) == ("batch", "certificate")
    assert client.may("infer", "churn")
    assert not client.may("infer", "fraud")


def test_the_first_that_fits_counts() -> None:
    by_name = {"name": "by-name", "models": "*", "common_name": "nightly"}
    by_uri = {"name": "by-uri", "models": "*", "uri": "spiffe://example/nightly"}
    certificate = read_der(NIGHTLY.der())
    assert clients(by_name, by_uri).client_of(certificate, now=TODAY).name == "by-name"
    assert clients(by_uri, by_name).client_of(certificate, now=TODAY).name == "by-uri"


@pytest.mark.parametrize(
    "match",
    [
        {"common_name": "spiffe://example/nightly"},
        {"dns": "nightly"},
        {"dns": "*.example.com"},
        {"uri": "spiffe://example/"},
        {"uri": "spiffe://EXAMPLE/nightly"},
        {"common_name": "Nightly"},
    ],
)
def test_a_name_of_another_kind_or_like_it_is_not_its_name(match: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        clients({"name": "batch", "models": "*", **match}).client_of(read_der(NIGHTLY.der()), now=TODAY)
    assert caught.value.reason == "unknown_certificate"


def test_others_have_the_rights_of_others_under_a_name_of_their_own() -> None:
    known = clients(
        {"name": "batch", "models": "*", "dns": "other.example.com"}, others={"models": "churn", "roles": ["read"]}
    )
    client = known.client_of(read_der(NIGHTLY.der()), now=TODAY)
    assert client.name == "spiffe://example/nightly"
    assert client.roles == {"read"}
    assert known.client_of(read_der(issued("ca").der()), now=TODAY).name


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_certificate_expires_while_its_connection_lives(moment: str) -> None:
    found: PeerCertificate = read_der(NIGHTLY.der())
    now = found.begins - 1 if moment == "before" else found.ends + 1
    known = clients({"name": "batch", "models": "*", "common_name": "nightly"})
    with pytest.raises(Unauthenticated) as caught:
        known.client_of(found, now=now)
    assert caught.value.reason == "expired_certificate"
