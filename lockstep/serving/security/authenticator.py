"""From credentials to a client."""

from lockstep.serving.security.api_keys import ApiKeyTable
from lockstep.serving.security.certificates import CertificateClients
from lockstep.serving.security.clients import Client
from lockstep.serving.security.credentials import Credentials
from lockstep.serving.security.errors import Unauthenticated
from lockstep.serving.security.reloading import FollowedFiles
from lockstep.serving.security.tokens import TokenVerifier

TOKEN_DOTS = 2


class Authenticator:
    """Knows every way to say who one is.

    What is sent with a request counts before the certificate of its connection, and wrong credentials are refused even
    where none are needed: nobody silently becomes anonymous.

    Args:
        keys: API keys; none: they are not in use.
        tokens: Tokens; none: they are not in use.
        certificates: Clients by certificate; none: certificates name nobody.
        anonymous: Who a request without credentials comes from; none: it is refused.
    """

    def __init__(
        self,
        *,
        keys: FollowedFiles[ApiKeyTable] | None = None,
        tokens: TokenVerifier | None = None,
        certificates: CertificateClients | None = None,
        anonymous: Client | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._certificates = certificates
        self._anonymous = anonymous
        self._nothing_to_show = keys is None and tokens is None and certificates is None

    def authenticate(self, credentials: Credentials, *, now: float) -> Client:
        """Return who sent something.

        Args:
            credentials: What came with it.
            now: Seconds since 1970.

        Raises:
            Unauthenticated: Nothing came that is needed, or it is not valid.
            SignersUnknown: Tokens cannot be checked now.
        """
        if self._nothing_to_show and self._anonymous is not None:
            return self._anonymous
        if credentials.problem is not None:
            raise Unauthenticated(credentials.problem)
        if credentials.bearer is not None:
            # An API key has no dot, a token has two.
            if self._tokens is not None and credentials.bearer.count(".") == TOKEN_DOTS:
                return self._tokens.client_of(credentials.bearer, now=now)
            return self._by_key(credentials.bearer, now=now)
        if credentials.api_key is not None:
            return self._by_key(credentials.api_key, now=now)
        return self._without_secret(credentials, now=now)

    def _by_key(self, key: str, *, now: float) -> Client:
        if self._keys is None:
            raise Unauthenticated("not_supported")
        return self._keys.current.client_of(key, now=now)

    def _without_secret(self, credentials: Credentials, *, now: float) -> Client:
        if self._certificates is not None and credentials.certificate is not None:
            try:
                return self._certificates.client_of(credentials.certificate, now=now)
            except Unauthenticated as error:
                if self._anonymous is None or error.reason != "unknown_certificate":
                    raise
        if self._anonymous is None:
            raise Unauthenticated("missing")
        return self._anonymous
