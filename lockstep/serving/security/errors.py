"""What can go wrong between a client and its rights. No message holds a key, a token, or what was in one.

A refused client learns whether it sent anything, not what was wrong with it: that is in `reason`, for the audit.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lockstep.errors import EnvironmentFault, LockstepError, RequestInvalid

Reason = Literal[
    "missing",
    "several",
    "scheme",
    "malformed",
    "too_long",
    "not_supported",
    "unknown_key",
    "expired_key",
    "unknown_certificate",
    "expired_certificate",
    "algorithm",
    "unknown_signer",
    "signature",
    "expired_token",
    "not_yet_valid",
    "issuer",
    "audience",
    "claims",
]

SHOWN_NAME = 80
_MISSING = (
    "this endpoint needs credentials: an API key or a token in the header Authorization, after 'Bearer ', or an API "
    "key in X-API-Key"
)
_SEVERAL = "several credentials were sent; send one: either Authorization or X-API-Key, once"
_REFUSED = (
    "the credentials are not accepted here; check that they are complete, meant for this endpoint and not expired"
)
_MESSAGES: dict[Reason, str] = {"missing": _MISSING, "several": _SEVERAL}


class Unauthenticated(LockstepError):
    """Nobody knows who asks.

    Attributes:
        reason: Why, for the audit only.
        client: Whose credentials they were, when that is certain; for the audit only.
        challenge: Value of the header WWW-Authenticate.
    """

    code = "LS1022"

    def __init__(self, reason: Reason, *, client: str | None = None) -> None:
        self.reason: Reason = reason
        self.client = client
        self.challenge = 'Bearer realm="lockstep"' + ("" if reason == "missing" else ', error="invalid_token"')
        super().__init__(_MESSAGES.get(reason, _REFUSED))


class Forbidden(LockstepError):
    """Who asks is known, and may not do this."""

    code = "LS1023"

    def __init__(self, client: str, *, action: str, model: str | None) -> None:
        on = "" if model is None else f" on model {model[:SHOWN_NAME]!r}"
        super().__init__(f"client {client!r} lacks the role {action!r}{on}; ask who runs this endpoint for it")


class RateLimited(LockstepError):
    """A client asks for more than its share.

    Attributes:
        wait_s: Seconds until the same request would be let through.
        retry_after_s: The same in whole seconds, at least 1.
    """

    code = "LS1024"
    retryable = True

    def __init__(self, *, wait_s: float) -> None:
        self.wait_s = wait_s
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(f"this client's rate limit is reached; try again in {self.retry_after_s} s")


class RowsOverBurst(RequestInvalid):
    """One request has more rows than its client may ever send at once."""

    code = "LS1025"

    def __init__(self, *, rows: int, burst: int) -> None:
        super().__init__(f"{rows} rows in one request; this client may send {burst} at once: send several requests")


class SignersUnknown(LockstepError):
    """Tokens cannot be checked now: the provider's keys could not be fetched, or are too old."""

    code = "LS1026"
    retryable = True

    def __init__(self, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"tokens cannot be checked at the moment; try again in {retry_after_s} s")


class SecurityFileInvalid(EnvironmentFault):
    """A file of keys or certificates cannot be used."""

    code = "LS4027"

    def __init__(self, path: Path | str, problems: Sequence[str], *, advice: str = "Mend the file") -> None:
        self.problems = tuple(problems)
        super().__init__(f"{path} cannot be used: {'; '.join(problems)}. {advice}.")


class KeySetInvalid(EnvironmentFault):
    """A JSON Web Key Set cannot be used; nothing of it is taken."""

    code = "LS4028"

    def __init__(self, source: str, *, problem: str) -> None:
        super().__init__(f"the key set {source} cannot be used: {problem}; expected a JSON Web Key Set of public keys")


class ExposureRefused(EnvironmentFault):
    """The endpoint would be open to other machines in a way that nobody asked for."""

    code = "LS4029"

    def __init__(self, host: str, problems: Sequence[str]) -> None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(
            f"the endpoint does not start on {host!r}, which other machines can reach:{listed}\n"
            "Or listen on 127.0.0.1 and put a gateway in front."
        )


class TlsVersionUnsupported(EnvironmentFault):
    """gRPC's Python library takes no minimum version."""

    code = "LS4030"

    def __init__(self, minimum: str) -> None:
        super().__init__(
            f"tls.minimum is {minimum!r}, which gRPC's Python library cannot be held to: it accepts TLS 1.2 too. "
            "Say tls.minimum: '1.2', or serve REST only."
        )
