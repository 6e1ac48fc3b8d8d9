"""The endpoint's certificate, and those of its clients, for REST and gRPC; both follow their files."""

import contextlib
import datetime as dt
import logging
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from cryptography import x509

from lockstep.serving.security.errors import SecurityFileInvalid, TlsVersionUnsupported
from lockstep.serving.security.reloading import FollowedFiles, read_file
from lockstep.specs.serving_security import Mtls, Tls

MINIMA = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
ENDS_SOON = dt.timedelta(days=14)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TlsMaterial:
    """Certificate, key and authorities as they are in the files, which belong together and can be used.

    Attributes:
        certificate: PEM.
        key: PEM.
        authorities: PEM, of those whose certificates of clients are accepted; none: clients are not asked.
        required: Whether clients must show one.
        minimum: Oldest TLS version.
        ends: When the certificate does.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes | None
    required: bool
    minimum: Literal["1.2", "1.3"]
    ends: dt.datetime


def follow_tls(tls: Tls, mtls: Mtls | None, *, folder: Path) -> FollowedFiles[TlsMaterial]:
    """Read the files, to be read again when one changes; new connections use what is new.

    Args:
        tls: The endpoint's certificate.
        mtls: Whose certificates of clients are accepted; none: clients are not asked.
        folder: Where relative paths begin.

    Raises:
        SecurityFileInvalid: A file cannot be used, or certificate and key do not belong together.
    """
    paths = [folder / tls.certificate, folder / tls.key] + ([folder / mtls.ca] if mtls is not None else [])
    return FollowedFiles(paths, lambda: load_tls(tls, mtls, folder=folder))


def load_tls(tls: Tls, mtls: Mtls | None, *, folder: Path) -> TlsMaterial:
    """Read the files once; see `follow_tls`."""
    certificate, key = folder / tls.certificate, folder / tls.key
    chain, secret = read_file(certificate), read_file(key)
    authorities = None if mtls is None else read_file(folder / mtls.ca)
    required = mtls is not None and mtls.require
    try:
        context = _context(chain, secret, minimum=tls.minimum)
        ends = x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc
    except (ssl.SSLError, ValueError) as error:
        problem = f"they are no certificate with its private key, unencrypted ({_reason(error)})"
        raise SecurityFileInvalid(f"{certificate} with {key}", [problem]) from error
    if authorities is not None:
        try:
            _accept(context, authorities, required=required)
        except (ssl.SSLError, ValueError) as error:
            problem = f"it holds no certificates ({_reason(error)})"
            raise SecurityFileInvalid(folder / cast("Mtls", mtls).ca, [problem]) from error
    material = TlsMaterial(chain, secret, authorities, required, tls.minimum, ends)
    if ends - dt.datetime.now(dt.UTC) < ENDS_SOON:
        _log.warning("the certificate %s is valid until %s", certificate, ends.isoformat())
    return material


def context_of(material: TlsMaterial) -> ssl.SSLContext:
    """Return what OpenSSL listens with."""
    context = _context(material.certificate, material.key, minimum=material.minimum)
    if material.authorities is not None:
        _accept(context, material.authorities, required=material.required)
    return context


def _context(certificate: bytes, key: bytes, *, minimum: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = MINIMA[minimum]
    with _file(certificate) as chain, _file(key) as secret:
        # Asked for the password of an encrypted key: an empty one, never a prompt.
        context.load_cert_chain(chain, secret, password=lambda: "")
    return context


def _accept(context: ssl.SSLContext, authorities: bytes, *, required: bool) -> None:
    """Ask clients for certificates of authorities."""
    context.load_verify_locations(cadata=authorities.decode("ascii"))
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[str]:
    """Give a file that only we can read: what was checked is used, whatever becomes of the files meanwhile."""
    with tempfile.NamedTemporaryFile(prefix="lockstep-tls-") as file:
        file.write(content)
        file.flush()
        yield file.name


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or type(error).__name__


def grpc_credentials(material: FollowedFiles[TlsMaterial], *, tls: Tls, mtls: Mtls | None) -> Any:
    """Return what a gRPC server listens with, as `grpc.ServerCredentials`; each connection takes the newest.

    Raises:
        TlsVersionUnsupported: A minimum version is asked for that cannot be kept.
    """
    import grpc  # type: ignore[import-untyped,unused-ignore]

    if tls.minimum != "1.2":
        raise TlsVersionUnsupported(tls.minimum)
    given = material.current

    def configuration(of: TlsMaterial) -> Any:
        return grpc.ssl_server_certificate_configuration([(of.key, of.certificate)], of.authorities)

    def newest() -> Any:
        nonlocal given
        if material.current is given:
            return None
        given = material.current
        return configuration(given)

    required = mtls is not None and mtls.require
    return grpc.dynamic_ssl_server_credentials(configuration(given), newest, required)
