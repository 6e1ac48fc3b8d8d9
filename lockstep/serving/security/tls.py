"""The endpoint's certificate, and those of its clients, for REST and gRPC; both follow their files."""

import datetime as dt
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509

from lockstep.serving.security.errors import SecurityFileInvalid, TlsVersionUnsupported
from lockstep.serving.security.reloading import FollowedFiles, read_file
from lockstep.specs.serving_security import Mtls, Tls

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
ENDS_SOON = dt.timedelta(days=14)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TlsMaterial:
    """Certificate, key and authorities as they are in the files, and Python's context of them."""

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes | None
    ends: dt.datetime
    context: ssl.SSLContext = field(compare=False, repr=False)


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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[tls.minimum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    chain, secret = read_file(certificate), read_file(key)
    try:
        # Asked for the password of an encrypted key: an empty one, never a prompt.
        context.load_cert_chain(certificate, key, password=lambda: "")
        ends = x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc
    except (ssl.SSLError, ValueError) as error:
        problem = f"they are no certificate with its private key, unencrypted ({_reason(error)})"
        raise SecurityFileInvalid(f"{certificate} with {key}", [problem]) from error
    authorities = None if mtls is None else _ask_for_certificates(context, mtls, folder=folder)
    if ends - dt.datetime.now(dt.UTC) < ENDS_SOON:
        _log.warning("the certificate %s is valid until %s", certificate, ends.isoformat())
    return TlsMaterial(chain, secret, authorities, ends, context)


def _ask_for_certificates(context: ssl.SSLContext, mtls: Mtls, *, folder: Path) -> bytes:
    path = folder / mtls.ca
    authorities = read_file(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise SecurityFileInvalid(path, [f"it holds no certificates ({_reason(error)})"]) from error
    context.verify_mode = ssl.CERT_REQUIRED if mtls.require else ssl.CERT_OPTIONAL
    # Tickets would let clients come back without a look at their certificates.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return authorities


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or type(error).__name__


def server_context(material: FollowedFiles[TlsMaterial]) -> ssl.SSLContext:
    """Return the context of a server that outlives its certificates: each connection takes the newest.

    Args:
        material: Followed as long as the server runs.
    """
    front = material.current.context

    def take_newest(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # Sessions belong to a context, so none from before a change is resumed either.
        connection.context = material.current.context

    front.sni_callback = take_newest
    return front


def grpc_credentials(material: FollowedFiles[TlsMaterial], *, tls: Tls, mtls: Mtls | None) -> Any:
    """Return the same for gRPC, as `grpc.ServerCredentials`.

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
