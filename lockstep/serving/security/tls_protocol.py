"""uvicorn's HTTP protocol, with the client's certificate in the scope: uvicorn itself does not pass it on."""

import asyncio
import ssl
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lockstep.serving.security.certificates import PeerCertificate, read_der

SCOPE_KEY = "lockstep.certificate"


class CertificateProtocol(HttpToolsProtocol):
    """Reads the certificate once for each connection; for `uvicorn.Config(http=CertificateProtocol)`."""

    _certificate: PeerCertificate | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection; its handshake is over."""
        super().connection_made(transport)
        self._certificate = certificate_of(transport.get_extra_info("ssl_object"))

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        scope = cast("dict[str, Any]", self.scope)
        scope[SCOPE_KEY] = self._certificate


def certificate_of(connection: ssl.SSLObject | None) -> PeerCertificate | None:
    """Return the certificate that a client showed and that was checked, if there is one."""
    # A server that checks no certificates does not ask for any either.
    der = None if connection is None else connection.getpeercert(binary_form=True)
    return None if der is None else read_der(der)
