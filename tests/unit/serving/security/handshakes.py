"""A TLS connection without a socket: both ends in memory, real otherwise."""

import contextlib
import ssl


class Connection:
    """A client and a server that talk to each other."""

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        *,
        host: str | None = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(to_client, to_server, server_hostname=host, session=session)
        self.server = server.wrap_bio(to_server, to_client, server_side=True)

    def shake(self) -> "Connection":
        """Do the handshake, or raise `ssl.SSLError`; a byte each way shows that both ends agree it is done."""
        waiting = {self.client, self.server}
        for _ in range(10):
            for end in tuple(waiting):
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
                    waiting.discard(end)
        for one, other in ((self.client, self.server), (self.server, self.client)):
            one.write(b"x")
            assert other.read(1) == b"x"
        return self

    @property
    def server_certificate(self) -> bytes:
        """What the client was shown."""
        found = self.client.getpeercert(binary_form=True)
        assert found is not None
        return found
