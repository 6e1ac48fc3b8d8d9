"""Addresses and credentials: what is taken, and that no error shows a secret."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.client.access import access_to
from lockstep.client.errors import TargetInvalid

SECRET = "lsk_secret4711"


def test_an_address_is_taken_apart() -> None:
    access = access_to("https://host.example/team/a/", api_key=SECRET)
    assert (access.host, access.port, access.prefix, access.secure) == ("host.example", 443, "/team/a", True)
    assert access.headers == {"x-api-key": SECRET}
    assert access_to("grpc://[::1]:8081", token=SECRET).headers == {"authorization": f"Bearer {SECRET}"}
    assert access_to("http://127.0.0.1").context() is None


def test_it_does_not_show_its_credentials() -> None:
    assert SECRET not in repr(access_to("http://h:1", token=SECRET))


@pytest.mark.parametrize(
    ("url", "facts", "message"),
    [
        ("127.0.0.1:8080", {}, "expected http, https, grpc, grpcs and host:port"),
        ("ftp://h", {}, "expected http"),
        ("http://", {}, "expected http"),
        ("http://h:port", {}, "cannot be read"),
        ("http://h:1?a=b", {}, "no query"),
        (f"http://me:{SECRET}@h:1", {}, "holds a name or a password"),
        ("http://h:1", {"token": SECRET, "api_key": SECRET}, "takes one"),
        ("http://h:1", {"token": f"{SECRET}\n"}, "holds blanks"),
        ("http://h:1", {"token": ""}, "is empty"),
        ("http://h:1", {"api_key": f"{SECRET}ä"}, "other characters than ASCII"),
        ("http://h:1", {"ca": Path("ca.pem")}, "is not over TLS"),
        ("https://h:1", {"key": Path("k.pem")}, "without its certificate"),
    ],
)
def test_what_cannot_be_used_is_one_error_without_the_secret(url: str, facts: dict[str, Any], message: str) -> None:
    with pytest.raises(TargetInvalid, match=message) as caught:
        access_to(url, **facts)
    assert SECRET not in str(caught.value)


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    access = access_to("https://h:1", ca=tmp_path / "nothing.pem")
    with pytest.raises(TargetInvalid, match="certificates for https://h:1 cannot be used"):
        access.context()


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    from tests.unit.serving.security.issuers import issued

    issued("ca", "client").write(tmp_path, "client")
    key = form.load_pem_private_key((tmp_path / "client.key").read_bytes(), None)
    locked = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"4711"))
    (tmp_path / "locked.key").write_bytes(locked)
    access = access_to("https://h:1", certificate=tmp_path / "client.pem", key=tmp_path / "locked.key")
    with pytest.raises(TargetInvalid, match="the private key is encrypted"):
        access.context()
    access_to("https://h:1", certificate=tmp_path / "client.pem", key=tmp_path / "client.key").context()
