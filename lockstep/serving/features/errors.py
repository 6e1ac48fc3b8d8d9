"""What can go wrong when the endpoint looks something up. Messages name columns, rows and features, never a value."""

from collections.abc import Mapping

from lockstep.errors import LockstepError, RequestInvalid

SHOWN_ROWS = 10


class LookupKeyInvalid(RequestInvalid):
    """The key of a lookup is not that of the table."""

    code = "LS1017"

    def __init__(self, table: str, *, problem: str) -> None:
        super().__init__(f"the lookup in {table} cannot be made: {problem}")


class LookupUnavailable(LockstepError):
    """The online store did not give an answer, or none in time."""

    code = "LS1018"
    retryable = True

    def __init__(self, table: str, *, location: str, reason: str) -> None:
        super().__init__(f"predictions of {table} cannot be looked up in {location}: {reason}")


class FeatureSourceInvalid(LockstepError):
    """A feature source is configured in a way that cannot work, or answers in a form that is not its own."""

    code = "LS1019"

    def __init__(self, source: str, *, problem: str) -> None:
        super().__init__(f"feature source {source}: {problem}")


class FeatureSourceUnavailable(LockstepError):
    """A feature source did not give an answer, or none in its share of the request's time."""

    code = "LS1020"
    retryable = True

    def __init__(self, source: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"feature source {source} gave no answer: {reason}")


class FeaturesRefused(LockstepError):
    """Rows of a request lack features, or have them too old, and the policy of these features is to reject.

    Args:
        reasons: Row index to why it is refused.
        rows: Rows of the request.
    """

    code = "LS1021"

    def __init__(self, reasons: Mapping[int, str], *, rows: int) -> None:
        self.reasons = dict(reasons)
        shown = "; ".join(f"row {row}: {reason}" for row, reason in list(reasons.items())[:SHOWN_ROWS])
        more = f"; and {len(reasons) - SHOWN_ROWS} more" if len(reasons) > SHOWN_ROWS else ""
        super().__init__(f"{len(reasons)} of {rows} rows lack features: {shown}{more}")
