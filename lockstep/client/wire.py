"""What the client needs of a protocol."""

from typing import Protocol

import pyarrow as pa

from lockstep.client.answers import Answer, Arrays, Interface, Listed
from lockstep.client.patience import Deadline


class Wire(Protocol):
    """One protocol over connections to one endpoint; may be used by several threads."""

    names_versions: bool
    """Whether a request to score can name a version."""

    def describe(self, model: str | None, version: str | None, *, deadline: Deadline) -> Interface:
        """Ask what a model (none: the default one) takes and gives."""

    def score(
        self, table: pa.Table, interface: Interface, *, version: str | None, request_id: str, deadline: Deadline
    ) -> tuple[Arrays, Answer]:
        """Score fitted rows in one request; no version: the one that answers now."""

    def ready(self, model: str | None, *, deadline: Deadline) -> bool:
        """Ask whether the endpoint, or one model, answers."""

    def models(self, *, deadline: Deadline) -> tuple[Listed, ...]:
        """Ask which versions are loaded."""

    def close(self) -> None:
        """Close all connections."""
