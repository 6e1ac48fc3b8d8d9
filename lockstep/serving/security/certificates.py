"""Certificates of clients: what they say, and which client that is.

They are checked against the authority when a client connects; here they are only read.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from lockstep.serving.security.clients import Client, client_with
from lockstep.serving.security.errors import Unauthenticated
from lockstep.specs.serving_security import CertificateClient, Mtls

NAME_KINDS = ("uri", "dns", "email", "common_name")
READ_CERTIFICATES = 1024


@dataclass(frozen=True)
class PeerCertificate:
    """What counts of a certificate.

    Attributes:
        names: Pairs of kind (`uri`, `dns`, `email`, `common_name`) and name.
        begins: Seconds since 1970 from which it is valid.
        ends: ... and until which.
        fingerprint: SHA-256 of it.
    """

    names: tuple[tuple[str, str], ...]
    begins: float
    ends: float
    fingerprint: str

    @property
    def name(self) -> str:
        """The name to call an unlisted client by."""
        return next((name for _, name in self.names), self.fingerprint[:16])


@functools.lru_cache(maxsize=READ_CERTIFICATES)
def read_der(der: bytes) -> PeerCertificate:
    """Read a certificate as Python's `ssl` gives it, with every request of a connection."""
    return _facts(x509.load_der_x509_certificate(der))


@functools.lru_cache(maxsize=READ_CERTIFICATES)
def read_pem(pem: bytes) -> PeerCertificate:
    """Read a certificate as gRPC gives it, with every call of a connection."""
    return _facts(x509.load_pem_x509_certificate(pem))


def from_auth_context(context: Mapping[str, Sequence[bytes]]) -> PeerCertificate | None:
    """Return the certificate of a gRPC call's client, if it showed one.

    Args:
        context: What `auth_context()` of the call's context returns.
    """
    if list(context.get("transport_security_type", ())) != [b"ssl"]:
        return None
    found = list(context.get("x509_pem_cert", ()))
    return read_pem(found[0]) if len(found) == 1 else None


def _facts(certificate: x509.Certificate) -> PeerCertificate:
    names: list[tuple[str, str]] = []
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        names += [("uri", name) for name in others.get_values_for_type(x509.UniformResourceIdentifier)]
        names += [("dns", name.lower()) for name in others.get_values_for_type(x509.DNSName)]
        names += [("email", name) for name in others.get_values_for_type(x509.RFC822Name)]
    common = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(common) == 1:
        names.append(("common_name", common[0]))
    return PeerCertificate(
        tuple(names),
        begins=certificate.not_valid_before_utc.timestamp(),
        ends=certificate.not_valid_after_utc.timestamp(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


class CertificateClients:
    """Which client a certificate belongs to."""

    def __init__(self, config: Mtls) -> None:
        self._known: dict[tuple[str, str], tuple[int, Client]] = {}
        for place, entry in enumerate(config.clients):
            self._known.setdefault(_match(entry), (place, client_with(entry.name, "certificate", [entry])))
        self._others = config.others

    def client_of(self, certificate: PeerCertificate, *, now: float) -> Client:
        """Return the client of a certificate.

        Args:
            certificate: Checked when the connection began, which may be long ago.
            now: Seconds since 1970.

        Raises:
            Unauthenticated: It has expired meanwhile, or belongs to nobody.
        """
        if not certificate.begins <= now <= certificate.ends:
            raise Unauthenticated("expired_certificate", client=certificate.name)
        found = [self._known[name] for name in certificate.names if name in self._known]
        if found:
            return min(found, key=lambda item: item[0])[1]
        if self._others is None:
            raise Unauthenticated("unknown_certificate", client=certificate.name)
        return client_with(certificate.name, "certificate", [self._others])


def _match(entry: CertificateClient) -> tuple[str, str]:
    kind = next(kind for kind in NAME_KINDS if getattr(entry, kind) is not None)
    value: str = getattr(entry, kind)
    return kind, value.lower() if kind == "dns" else value
