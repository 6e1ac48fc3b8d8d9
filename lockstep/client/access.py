"""Where an endpoint is, and what a client shows it: address, credentials, certificates."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lockstep.client.errors import TargetInvalid

SCHEMES = {"http": False, "https": True, "grpc": False, "grpcs": True}
PORTS = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}


@dataclass(frozen=True)
class Access:
    """How to reach an endpoint.

    Attributes:
        url: As given, without a slash at its end; for messages.
        host, port, prefix: Its parts; the prefix is a path in front of all others, or empty.
        secure: Whether over TLS.
        headers: Credentials, by header names in lower case.
        ca: Certificates that vouch for the endpoint instead of the system's.
        certificate, key: Of the client, for mutual TLS; without a key it is in the certificate's file.
    """

    url: str
    host: str
    port: int
    prefix: str
    secure: bool
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS needs for HTTP; none in plain text.

        Raises:
            TargetInvalid: A file cannot be used.
        """
        if not self.secure:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise TargetInvalid(f"the certificates for {self.url} cannot be used: {error}") from error
        return context


def access_to(
    url: str,
    *,
    token: str | None = None,
    api_key: str | None = None,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Access:
    """Check an address and what goes with it.

    Args:
        url: `http://`, `https://`, `grpc://` or `grpcs://`, host and port.
        token: A JSON Web Token, or an API key, sent as `Authorization: Bearer`.
        api_key: An API key, sent as `X-API-Key`.
        ca: Certificates that vouch for the endpoint instead of the system's.
        certificate: Of the client, for mutual TLS.
        key: Of the certificate; none: it is in the certificate's file.

    Raises:
        TargetInvalid: One of them cannot be used; the message never holds a credential.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise TargetInvalid(
            "the endpoint's URL cannot be read; expected http://host:port or grpc://host:port"
        ) from error
    if parts.username is not None or parts.password is not None:
        raise TargetInvalid("the endpoint's URL holds a name or a password; send a token or an API key instead")
    if parts.scheme not in SCHEMES or not host or parts.query or parts.fragment:
        kinds = ", ".join(SCHEMES)
        raise TargetInvalid(f"the endpoint's URL {url!r} cannot be used; expected {kinds} and host:port, and no query")
    secure = SCHEMES[parts.scheme]
    if not secure and (ca or certificate):
        raise TargetInvalid(f"certificates are given, but {url!r} is not over TLS; use https or grpcs")
    if key is not None and certificate is None:
        raise TargetInvalid("a private key is given without its certificate")
    return Access(
        url.rstrip("/"),
        host,
        port or PORTS[parts.scheme],
        parts.path.rstrip("/"),
        secure,
        _headers(token, api_key),
        ca,
        certificate,
        key,
    )


def _headers(token: str | None, api_key: str | None) -> dict[str, str]:
    if token is not None and api_key is not None:
        raise TargetInvalid("both a token and an API key are given; the endpoint takes one")
    secret = token if token is not None else api_key
    if secret is None:
        return {}
    # A line break in it would be an error of the HTTP library, which quotes the value.
    if not secret or not all("!" <= character <= "~" for character in secret):
        raise TargetInvalid("the token or API key is empty, or holds blanks or other characters than ASCII")
    return {"authorization": f"Bearer {secret}"} if token is not None else {"x-api-key": secret}


def _no_password() -> str:
    """Refuse an encrypted private key; without this, OpenSSL asks on the terminal."""
    raise ValueError("the private key is encrypted; give one that is not")
