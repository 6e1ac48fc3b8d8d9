"""One call before each request, the same for every protocol."""

import time
from collections.abc import Callable
from dataclasses import replace

from lockstep.serving.security.audit import AuditEvent, AuditLog
from lockstep.serving.security.authenticator import Authenticator
from lockstep.serving.security.clients import Client, authorize
from lockstep.serving.security.credentials import Credentials
from lockstep.serving.security.errors import Forbidden, Unauthenticated
from lockstep.serving.security.rate_limit import RateLimiter
from lockstep.specs.serving_security import Role


class Guard:
    """Lets requests through or refuses them, the same for every protocol."""

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        limiter: RateLimiter | None,
        audit: AuditLog,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticator = authenticator
        self._limiter = limiter
        self._audit = audit
        self._clock = clock
        self._monotonic = monotonic

    def admit(
        self, credentials: Credentials, *, action: Role, model: str | None = None, request_id: str = ""
    ) -> Client:
        """Find out who asks, count the request, and check that the client may do it.

        Args:
            credentials: What came with the request.
            action: What it needs.
            model: With which model, by its name in the request; none for what belongs to no model.
            request_id: For the audit log.

        Raises:
            Unauthenticated: Nobody knows who asks.
            SignersUnknown: Tokens cannot be checked now.
            RateLimited: The client asks for more than its share.
            Forbidden: The client may not do that.
        """
        try:
            client = self._authenticator.authenticate(credentials, now=self._clock())
        except Unauthenticated as error:
            event = AuditEvent(action, "unauthenticated", model=model, request_id=request_id)
            self._audit.record(replace(event, client=error.client, peer=credentials.peer, reason=error.reason))
            raise
        if self._limiter is not None:
            self._limiter.require(client, peer=credentials.peer, now=self._monotonic())
        try:
            authorize(client, action=action, model=model)
        except Forbidden:
            self.record(client, credentials, AuditEvent(action, "forbidden", model=model, request_id=request_id))
            raise
        return client

    def charge_rows(self, client: Client, credentials: Credentials, *, rows: int) -> None:
        """Count the rows of an admitted request, once they are known.

        Raises:
            RateLimited: The client asks for more than its share.
            RowsOverBurst: The client may never send so many at once.
        """
        if self._limiter is not None:
            self._limiter.require(client, peer=credentials.peer, now=self._monotonic(), requests=0, rows=rows)

    def record(self, client: Client, credentials: Credentials, event: AuditEvent) -> None:
        """Write to the audit log what a client did: every load, unload and rollback, whether or not it succeeded."""
        self._audit.record(replace(event, client=client.name, method=client.method, peer=credentials.peer))
