import datetime as dt
from pathlib import Path
from typing import Any

import grpc
import pytest

from lockstep.serving.security.errors import SecurityFileInvalid, TlsVersionUnsupported
from lockstep.serving.security.reloading import FollowedFiles
from lockstep.serving.security.tls import TlsMaterial, follow_tls, grpc_credentials
from lockstep.specs.serving_security import Mtls, Tls
from tests.unit.serving.security.issuers import authority, issued

TLS = Tls(certificate="server.pem", key="server.key")
MTLS = Mtls.model_validate({"ca": "ca.pem", "others": {"models": "*"}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    issued("ca", "server", server=True).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority("clients").pem())
    return tmp_path


def followed(folder: Path, tls: Tls = TLS, mtls: Mtls | None = None) -> FollowedFiles[TlsMaterial]:
    return follow_tls(tls, mtls, folder=folder)


def test_half_a_change_is_not_used(folder: Path, caplog: Any) -> None:
    material = followed(folder)
    before = material.current
    renewed = issued("ca", "renewed", server=True)
    (folder / "server.pem").write_bytes(renewed.pem())
    material.refresh(now=1.0)
    assert material.current is before
    assert "no certificate with its private key" in caplog.text
    renewed.write(folder, "server")
    material.refresh(now=2.0)
    assert (material.current.certificate, material.current.key) == (renewed.pem(), renewed.key_pem())
    assert material.problem is None


def test_new_authorities_are_a_change(folder: Path) -> None:
    material = followed(folder, mtls=MTLS)
    before = material.current
    (folder / "ca.pem").write_bytes(authority("clients-2").pem())
    material.refresh(now=1.0)
    assert material.current != before
    assert material.current.authorities == authority("clients-2").pem()


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "ca.pem"])
@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_files_that_cannot_be_used_stop_the_start(folder: Path, broken: str, content: bytes | None) -> None:
    path = folder / broken
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(SecurityFileInvalid, match=broken.replace(".", r"\.")):
        followed(folder, mtls=MTLS)


def test_an_encrypted_key_is_refused_without_asking_for_its_password(folder: Path) -> None:
    own = issued("ca", "server", server=True)
    own.write(folder, "server")
    (folder / "server.key").write_bytes(own.key_pem(b"secret"))
    with pytest.raises(SecurityFileInvalid, match="unencrypted"):
        followed(folder)


def test_a_certificate_that_ends_soon_is_told(folder: Path, caplog: Any) -> None:
    followed(folder)
    assert not caplog.text
    issued("ca", "server", server=True, days=3).write(folder, "server")
    found = followed(folder).current
    assert "is valid until" in caplog.text
    assert found.ends < dt.datetime.now(dt.UTC) + dt.timedelta(days=4)


def test_no_private_key_is_shown(folder: Path) -> None:
    assert "PRIVATE" not in repr(followed(folder).current)


def test_grpc_takes_the_same_files(folder: Path) -> None:
    for mtls in (None, MTLS):
        assert isinstance(grpc_credentials(followed(folder, mtls=mtls), tls=TLS, mtls=mtls), grpc.ServerCredentials)
    newer = TLS.model_copy(update={"minimum": "1.3"})
    with pytest.raises(TlsVersionUnsupported, match=r"tls\.minimum is '1\.3'"):
        grpc_credentials(followed(folder, newer), tls=newer, mtls=None)
