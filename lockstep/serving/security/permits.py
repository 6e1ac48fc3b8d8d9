"""What an admitted request may do on, the same for every protocol."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from lockstep.serving.errors import ModelUnknown
from lockstep.serving.security.audit import AuditEvent, Outcome
from lockstep.serving.security.clients import Client
from lockstep.serving.security.credentials import Credentials
from lockstep.serving.security.guard import Guard
from lockstep.serving.trace import Trace
from lockstep.specs.serving_security import ANY_MODEL, Role


@dataclass(frozen=True, slots=True)
class Permit:
    """A request that was let in.

    Attributes:
        guard: What let it in.
        client: Who asks.
        credentials: What came with it.
        action: What it needs.
        model: With which model; none for what belongs to no model.
        request_id: For the audit log.
    """

    guard: Guard
    client: Client
    credentials: Credentials
    action: Role = field(kw_only=True)
    model: str | None = field(kw_only=True)
    request_id: str = field(kw_only=True)

    def sees(self, model: str) -> bool:
        """Return whether the client may know of a model."""
        return self.client.may("read", model)

    def charge_rows(self, rows: int) -> None:
        """Count the rows of the request, once they are known and before they are scored.

        Raises:
            RateLimited: The client asks for more than its share.
            RowsOverBurst: The client may never send so many at once.
        """
        self.guard.charge_rows(self.client, self.credentials, rows=rows)

    @contextlib.contextmanager
    def covering(self, operation: str, trace: Trace) -> Iterator[None]:
        """Run the request in this: changes are audited with how they ended, and no error names models of others.

        Args:
            operation: What was asked for, such as `load` or `rollback`.
            trace: Of the request; names the version once that is known.
        """
        try:
            yield
        except BaseException as error:
            self._audit(operation, trace, failed=type(error).__name__)
            if isinstance(error, ModelUnknown) and not self.sees(ANY_MODEL):
                raise error.discreet() from error
            raise
        self._audit(operation, trace, failed=None)

    def _audit(self, operation: str, trace: Trace, *, failed: str | None) -> None:
        if self.action != "admin":
            return
        outcome: Outcome = "done" if failed is None else "failed"
        event = AuditEvent(
            self.action,
            outcome,
            operation=operation,
            model=self.model,
            version=trace.version or None,
            reason=failed,
            request_id=self.request_id,
        )
        self.guard.record(self.client, self.credentials, event)
