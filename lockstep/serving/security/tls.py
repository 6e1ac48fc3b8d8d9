"""The endpoint's certificate, and those of its clients, for REST and gRPC; both follow their files."""

import datetime as dt
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cryptography import x509

from lockstep.serving.security.errors import SecurityFileInvalid, TlsVersionUnsupported
from lockstep.serving.security.reloading import FollowedFiles, read_file
from lockstep.specs.serving_security import Mtls, Tls

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


Trial = Callable[[TlsMaterial], str | None]


def follow_tls(tls: Tls, mtls: Mtls | None, *, folder: Path, trial: Trial) -> FollowedFiles[TlsMaterial]:
    """Read the files, to be read again when one changes; new connections use what is new.

    Args:
        tls: The endpoint's certificate.
        mtls: Whose certificates of clients are accepted; none: clients are not asked.
        folder: Where relative paths begin.
        trial: Says why the server could not use them, or none; OpenSSL, which is asked before, accepts more.

    Raises:
        SecurityFileInvalid: A file cannot be used, or certificate and key do not belong together.
    """
    paths = [folder / tls.certificate, folder / tls.key] + ([folder / mtls.ca] if mtls is not None else [])
    return FollowedFiles(paths, lambda: load_tls(tls, mtls, folder=folder, trial=trial))


def load_tls(tls: Tls, mtls: Mtls | None, *, folder: Path, trial: Trial) -> TlsMaterial:
    """Read the files once; see `follow_tls`."""
    certificate, key = folder / tls.certificate, folder / tls.key
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain, secret = read_file(certificate), read_file(key)
    try:
        # Asked for the password of an encrypted key: an empty one, never a prompt.
        context.load_cert_chain(certificate, key, password=lambda: "")
        ends = x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc
    except (ssl.SSLError, ValueError) as error:
        problem = f"they are no certificate with its private key, unencrypted ({_reason(error)})"
        raise SecurityFileInvalid(f"{certificate} with {key}", [problem]) from error
    authorities = None if mtls is None else _authorities(context, folder / mtls.ca)
    required = mtls is not None and mtls.require
    material = TlsMaterial(chain, secret, authorities, required, tls.minimum, ends)
    refusal = trial(material)
    if refusal is not None:
        raise SecurityFileInvalid(f"{certificate} with {key}" + (f" and {mtls.ca}" if mtls else ""), [refusal])
    if ends - dt.datetime.now(dt.UTC) < ENDS_SOON:
        _log.warning("the certificate %s is valid until %s", certificate, ends.isoformat())
    return material


def _authorities(context: ssl.SSLContext, path: Path) -> bytes:
    authorities = read_file(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise SecurityFileInvalid(path, [f"it holds no certificates ({_reason(error)})"]) from error
    return authorities


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
