"""What a request brings to say who sends it. Only headers (of gRPC: metadata) are read, never a query string."""

import functools
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from lockstep.serving.security.certificates import PeerCertificate
from lockstep.serving.security.errors import Reason

AUTHORIZATION, API_KEY = "authorization", "x-api-key"
MAX_BYTES = 8192
IPV6_SUBNET = 64
UNREADABLE = "Bearer \ufffd"


class Headers(Protocol):
    """Headers of an HTTP request; names in lower case."""

    def __contains__(self, key: str, /) -> bool:
        """Return whether there is such a header."""

    def get_all(self, key: str, /) -> list[str]:
        """Return the values of all headers of a name, but for those that are not ASCII."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What was sent; nothing of it is checked yet.

    Attributes:
        peer: Address of the connection.
        bearer: Token or API key of the header Authorization.
        api_key: API key of the header X-API-Key.
        certificate: What the client showed when it connected; its signature is checked.
        problem: Why the headers cannot be read.
    """

    peer: str = ""
    bearer: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    certificate: PeerCertificate | None = None
    problem: Reason | None = None


def credentials_from_headers(headers: Headers, *, peer: str, certificate: PeerCertificate | None = None) -> Credentials:
    """Read the credentials of an HTTP request.

    Args:
        headers: Of the request.
        peer: Address of the connection.
        certificate: The client's certificate, if it showed one.
    """
    found = []
    for name in (AUTHORIZATION, API_KEY):
        if name in headers:
            # A header that is there without a readable value was sent too, and is refused.
            found += [(name == AUTHORIZATION, value.encode()) for value in headers.get_all(name) or [UNREADABLE]]
    return _read(found, peer=peer, certificate=certificate)


def credentials_from_metadata(
    metadata: Iterable[tuple[str, str | bytes]], *, peer: str, certificate: PeerCertificate | None = None
) -> Credentials:
    """Read the credentials of a gRPC call; see `credentials_from_headers`."""
    found = [
        (name == AUTHORIZATION, value.encode("utf-8", "replace") if isinstance(value, str) else value)
        for name, value in metadata
        if name in {AUTHORIZATION, API_KEY}
    ]
    return _read(found, peer=peer, certificate=certificate)


def _read(found: list[tuple[bool, bytes]], *, peer: str, certificate: PeerCertificate | None) -> Credentials:
    if not found:
        return Credentials(peer, certificate=certificate)
    authorization, value = found[0]
    scheme, _, secret = value.partition(b" ") if authorization else (b"bearer", b"", value)
    text = secret.strip(b" \t").decode("latin-1")
    problem: Reason | None = None
    if len(found) > 1:
        problem = "several"
    elif len(value) > MAX_BYTES:
        problem = "too_long"
    elif scheme.lower() != b"bearer":
        problem = "scheme"
    elif not text or not text.isascii() or not text.isprintable() or " " in text:
        problem = "malformed"
    if problem is not None:
        return Credentials(peer, problem=problem)
    if authorization:
        return Credentials(peer, bearer=text, certificate=certificate)
    return Credentials(peer, api_key=text, certificate=certificate)


@functools.lru_cache(maxsize=4096)
def peer_network(peer: str) -> str:
    """Return what of an address counts as one client: all of IPv4, the subnet of IPv6, whose host part anyone may vary.

    Args:
        peer: An address, or gRPC's form of it (`ipv4:192.0.2.1:443`, `ipv6:%5B::1%5D:443`, `unix:...`).
    """
    text = peer
    if peer.startswith(("ipv4:", "ipv6:")):
        text = peer[5:].rpartition(":")[0].replace("%5B", "[").replace("%5D", "]")
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return peer[:128]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_SUBNET), strict=False))
