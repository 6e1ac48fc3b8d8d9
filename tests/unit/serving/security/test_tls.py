import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest

from lockstep.serving.security.certificates import read_der
from lockstep.serving.security.errors import SecurityFileInvalid, TlsVersionUnsupported
from lockstep.serving.security.reloading import FollowedFiles
from lockstep.serving.security.tls import TlsMaterial, follow_tls, grpc_credentials, server_context
from lockstep.serving.security.tls_protocol import certificate_of
from lockstep.specs.serving_security import Mtls, Tls
from tests.unit.serving.security.handshakes import Connection
from tests.unit.serving.security.issuers import Certified, authority, issued

TLS = Tls(certificate="server.pem", key="server.key")
MTLS = Mtls.model_validate({"ca": "ca.pem", "others": {"models": "*"}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    issued("ca", "server", server=True).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority("clients").pem())
    return tmp_path


def client_context(folder: Path, own: Certified | None = None, *, trusts: str = "ca") -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority(trusts).pem().decode())
    if own is not None:
        context.load_cert_chain(*own.write(folder, "client"))
    return context


def followed(folder: Path, tls: Tls = TLS, mtls: Mtls | None = None) -> FollowedFiles[TlsMaterial]:
    return follow_tls(tls, mtls, folder=folder)


def test_a_client_that_trusts_the_authority_connects(folder: Path) -> None:
    server = server_context(followed(folder))
    connection = Connection(server, client_context(folder)).shake()
    assert connection.client.version() == "TLSv1.3"
    assert connection.server_certificate == ssl.PEM_cert_to_DER_cert((folder / "server.pem").read_text())
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        Connection(server, client_context(folder, trusts="other")).shake()


@pytest.mark.parametrize(
    ("minimum", "version", "connects"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_2, True),
        ("1.3", ssl.TLSVersion.TLSv1_2, False),
        ("1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_old_versions_are_refused(folder: Path, minimum: Any, version: ssl.TLSVersion, connects: bool) -> None:
    server = server_context(followed(folder, TLS.model_copy(update={"minimum": minimum})))
    context = client_context(folder)
    context.maximum_version = version
    if connects:
        Connection(server, context).shake()
        return
    with pytest.raises(ssl.SSLError, match=r"unsupported protocol|protocol version"):
        Connection(server, context).shake()


def test_the_oldest_versions_cannot_be_asked_for(folder: Path) -> None:
    assert server_context(followed(folder)).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_must_show_a_certificate_of_the_right_authority(folder: Path, version: ssl.TLSVersion) -> None:
    server = server_context(followed(folder, mtls=MTLS))

    def shake(own: Certified | None) -> Connection:
        context = client_context(folder, own)
        context.maximum_version = version
        return Connection(server, context).shake()

    nightly = issued("clients", "nightly", uris=["spiffe://example/nightly"])
    assert certificate_of(shake(nightly).server) == read_der(nightly.der())
    for stranger in (None, issued("ca", "nightly"), issued("clients", "old", days=-1)):
        with pytest.raises(ssl.SSLError):
            shake(stranger)
    with pytest.raises(ssl.SSLError):
        shake(issued("clients", "not-a-client", server=True))


def test_a_certificate_that_need_not_be_shown_is_checked_when_it_is(folder: Path) -> None:
    server = server_context(followed(folder, mtls=MTLS.model_copy(update={"require": False})))
    assert certificate_of(Connection(server, client_context(folder)).shake().server) is None
    nightly = issued("clients", "nightly")
    shown = Connection(server, client_context(folder, nightly)).shake()
    assert certificate_of(shown.server) == read_der(nightly.der())
    with pytest.raises(ssl.SSLError):
        Connection(server, client_context(folder, issued("ca", "nightly"))).shake()


def test_without_mutual_tls_nobody_is_asked(folder: Path) -> None:
    server = server_context(followed(folder))
    connection = Connection(server, client_context(folder, issued("clients", "nightly"))).shake()
    assert certificate_of(connection.server) is None
    assert certificate_of(None) is None


@pytest.mark.parametrize("host", ["localhost", None])
def test_a_new_certificate_is_used_by_the_next_connection(folder: Path, host: str | None) -> None:
    material = followed(folder)
    server, context = server_context(material), client_context(folder)
    context.check_hostname = False
    before = Connection(server, context, host=host).shake()
    renewed = issued("ca", "renewed", server=True)
    renewed.write(folder, "server")
    material.refresh(now=1.0)
    assert Connection(server, context, host=host).shake().server_certificate == renewed.der()
    before.client.write(b"y")
    assert before.server.read(1) == b"y"


def test_new_authorities_are_used_by_the_next_connection(folder: Path) -> None:
    material = followed(folder, mtls=MTLS)
    server = server_context(material)
    old, new = issued("clients", "nightly"), issued("clients-2", "nightly")
    Connection(server, client_context(folder, old)).shake()
    (folder / "ca.pem").write_bytes(authority("clients-2").pem())
    material.refresh(now=1.0)
    Connection(server, client_context(folder, new)).shake()
    with pytest.raises(ssl.SSLError):
        Connection(server, client_context(folder, old)).shake()


def resumed(server: ssl.SSLContext, context: ssl.SSLContext, first: Connection) -> bool | None:
    return Connection(server, context, session=first.client.session).shake().client.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_outlives_the_authorities_it_was_accepted_by(folder: Path, version: ssl.TLSVersion) -> None:
    material = followed(folder, mtls=MTLS)
    server = server_context(material)
    context = client_context(folder, issued("clients", "nightly"))
    context.maximum_version = version
    first = Connection(server, context).shake()
    assert resumed(server, context, first) == (version == ssl.TLSVersion.TLSv1_2)
    (folder / "ca.pem").write_bytes(authority("clients-2").pem())
    material.refresh(now=1.0)
    with pytest.raises(ssl.SSLError, match="unable to get local issuer certificate"):
        resumed(server, context, first)
    with pytest.raises(ssl.SSLError):
        Connection(server, context).shake()


def test_sessions_from_after_a_change_of_authorities_may_be_resumed(folder: Path) -> None:
    material = followed(folder, mtls=MTLS)
    server = server_context(material)
    (folder / "ca.pem").write_bytes(authority("clients-2").pem())
    material.refresh(now=1.0)
    context = client_context(folder, issued("clients-2", "nightly"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert resumed(server, context, Connection(server, context).shake())


def test_a_session_of_tls_1_3_is_not_resumed_with_certificates_of_clients(folder: Path) -> None:
    for mtls, again in ((None, True), (MTLS, False)):
        server = server_context(followed(folder, mtls=mtls))
        context = client_context(folder, issued("clients", "nightly"))
        assert resumed(server, context, Connection(server, context).shake()) == again


def test_half_a_change_is_not_used(folder: Path, caplog: Any) -> None:
    material = followed(folder)
    server, context = server_context(material), client_context(folder)
    before = Connection(server, context).shake().server_certificate
    renewed = issued("ca", "renewed", server=True)
    (folder / "server.pem").write_bytes(renewed.pem())
    material.refresh(now=1.0)
    assert Connection(server, context).shake().server_certificate == before
    assert "no certificate with its private key" in caplog.text
    renewed.write(folder, "server")
    material.refresh(now=2.0)
    assert Connection(server, context).shake().server_certificate == renewed.der()
    assert material.problem is None


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
