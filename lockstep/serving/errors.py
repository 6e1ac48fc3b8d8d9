"""What can go wrong at the endpoint, beside `RequestInvalid`. Messages name fields and rows, never a value.

Statuses are the edges' business: each has one table from these classes to its own protocol.
"""

from collections.abc import Mapping

from lockstep.errors import EnvironmentFault, InputError, LockstepError, RegistryError, RequestInvalid

SHOWN_ROWS = 10


class ModelUnknown(RequestInvalid):
    """The request is for a model or version that is not served here."""

    def __init__(self, name: str, version: str | None, *, served: str) -> None:
        wanted = f"model {name!r}" + (f" version {version!r}" if version is not None else "")
        super().__init__(f"{wanted} is not served here; this endpoint serves {served}")


class MediaTypeUnsupported(RequestInvalid):
    """The body's content type or encoding cannot be read."""

    def __init__(self, header: str, *, got: str, expected: str) -> None:
        super().__init__(f"header {header} is {got!r}; expected {expected}")


class PayloadTooLarge(RequestInvalid):
    """The body is larger than the endpoint accepts."""

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes} bytes; send the rows in several requests")


class BodyTooSlow(RequestInvalid):
    """The body did not arrive in time."""

    def __init__(self, *, timeout_s: float) -> None:
        super().__init__(f"the body did not arrive within {timeout_s:g} s")


class Overloaded(LockstepError):
    """More requests are in progress than the endpoint admits."""

    retryable = True

    def __init__(self, *, limit: int, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{limit} requests are in progress already; try again in {retry_after_s} s")


class RowsUnscorable(LockstepError):
    """The model has no score for some rows of a valid request.

    Args:
        reasons: Row index to why it has no score.
        rows: Rows of the request.
    """

    def __init__(self, reasons: Mapping[int, str], *, rows: int) -> None:
        self.reasons = dict(reasons)
        shown = "; ".join(f"row {row}: {reason}" for row, reason in list(reasons.items())[:SHOWN_ROWS])
        more = f"; and {len(reasons) - SHOWN_ROWS} more" if len(reasons) > SHOWN_ROWS else ""
        super().__init__(f"{len(reasons)} of {rows} rows cannot be scored: {shown}{more}")


class RowsRefused(RowsUnscorable):
    """Rows of a request hold what no model of this signature can be given; the request is at fault."""


class PortUnavailable(EnvironmentFault):
    """The endpoint cannot listen on the address."""

    def __init__(self, host: str, port: int, *, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host} port {port}: {reason}. Stop what uses the port, or choose another with --port."
        )


class EndpointUnavailable(EnvironmentFault):
    """An endpoint that is asked does not answer as it should."""

    retryable = True

    def __init__(self, url: str, *, problem: str) -> None:
        super().__init__(f"the endpoint at {url} {problem}. Check that `lockstep serve` runs there.")


class ModelsDiffer(RegistryError):
    """Batch and endpoint hold different models, so that comparing their scores says nothing."""

    def __init__(self, *, batch: str, endpoint: str) -> None:
        super().__init__(
            f"the batch run and the endpoint hold different models: batch {batch}, endpoint {endpoint}. "
            "Start the endpoint again, or name the version with --model-version."
        )


class OutputNotComparable(InputError):
    """Parity compares one number for each row, and the model gives something else."""

    def __init__(self, model: str, *, output: str, kind: str) -> None:
        super().__init__(
            f"parity compares one number for each row; output {output!r} of model {model} is a {kind}, which it cannot "
            "compare yet. Nothing was scored."
        )
