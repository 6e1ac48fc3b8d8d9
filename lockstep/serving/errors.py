"""What can go wrong at the endpoint, beside `RequestInvalid`. Messages name fields and rows, never a value.

Statuses are the edges' business: each has one table from these classes to its own protocol.
"""

import math
from collections.abc import Mapping

from lockstep.errors import EnvironmentFault, InputError, LockstepError, RegistryError, RequestInvalid

SHOWN_ROWS = 10


class ModelUnknown(RequestInvalid):
    """The request is for a model or version that is not served here."""

    code = "LS1003"

    def __init__(self, name: str | None, version: str | None, *, served: str | None) -> None:
        self._asked = name, version
        if name is None:
            problem = "the request names no model, and the endpoint has no default one"
        else:
            problem = f"model {name!r}" + (f" version {version!r}" if version else "") + " is not served here"
        super().__init__(problem if served is None else f"{problem}; this endpoint serves {served}")

    def discreet(self) -> "ModelUnknown":
        """Return the error for a client that may not know what else is served."""
        return ModelUnknown(*self._asked, served=None)


class NothingToRollBackTo(RequestInvalid):
    """A model has no earlier version loaded."""

    code = "LS1015"

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name!r} cannot be rolled back: no earlier version is loaded. Load one by its number")


class NoCanary(RequestInvalid):
    """A model has no canary that could be ended or resumed."""

    code = "LS1016"

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name!r} has no canary here: neither its spec nor serving.yaml names one to follow")


class MediaTypeUnsupported(RequestInvalid):
    """The body's content type or encoding cannot be read."""

    code = "LS1004"

    def __init__(self, header: str, *, got: str, expected: str) -> None:
        super().__init__(f"header {header} is {got!r}; expected {expected}")


class PayloadTooLarge(RequestInvalid):
    """The body is larger than the endpoint accepts."""

    code = "LS1005"

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes} bytes; send the rows in several requests")


class DecodedTooLarge(PayloadTooLarge):
    """The body is small, but what it decodes to is larger than the endpoint accepts."""

    code = "LS1006"

    def __init__(self, *, limit_bytes: int) -> None:
        RequestInvalid.__init__(
            self, f"the body decodes to more than {limit_bytes} bytes; send the rows in several requests"
        )


class BodyTooSlow(RequestInvalid):
    """The body did not arrive in time."""

    code = "LS1007"

    def __init__(self, *, timeout_s: float) -> None:
        super().__init__(f"the body did not arrive within {timeout_s:g} s")


class Overloaded(LockstepError):
    """The endpoint does not take the request, so that those it has taken are answered in time.

    Args:
        problem: What there is too much of.
        retry_after_s: When to come back.
    """

    code = "LS1008"
    retryable = True

    def __init__(self, problem: str, *, retry_after_s: float) -> None:
        self.retry_after_s = max(math.ceil(retry_after_s), 1)
        super().__init__(f"the endpoint is busy: {problem}; try again in {self.retry_after_s} s")


class NotReady(LockstepError):
    """The model is being loaded, or the server is stopping."""

    code = "LS1009"
    retryable = True
    retry_after_s = 1

    def __init__(self, model: str | None, *, reason: str) -> None:
        what = f"model {model!r}" if model is not None else "the server"
        super().__init__(f"{what} is not ready: {reason}; try again later")


class DeadlinePassed(LockstepError):
    """The deadline that the client set is over, or would be before the answer.

    Args:
        predicted: Whether it is not over yet, but too near.
    """

    code = "LS1010"
    retryable = True

    def __init__(self, *, predicted: bool) -> None:
        problem = "the deadline is too near for an answer" if predicted else "the deadline passed before its turn came"
        super().__init__(f"{problem}; nothing was scored. Allow the request more time")


class ClientGone(LockstepError):
    """The client closed the connection, so that nobody reads the answer."""

    code = "LS1012"

    def __init__(self) -> None:
        super().__init__("the client went away")


class RowsUnscorable(LockstepError):
    """The model has no score for some rows of a valid request.

    Args:
        reasons: Row index to why it has no score.
        rows: Rows of the request.
    """

    code = "LS1013"

    def __init__(self, reasons: Mapping[int, str], *, rows: int) -> None:
        self.reasons = dict(reasons)
        shown = "; ".join(f"row {row}: {reason}" for row, reason in list(reasons.items())[:SHOWN_ROWS])
        more = f"; and {len(reasons) - SHOWN_ROWS} more" if len(reasons) > SHOWN_ROWS else ""
        super().__init__(f"{len(reasons)} of {rows} rows cannot be scored: {shown}{more}")


class RowsRefused(RowsUnscorable):
    """Rows of a request hold what no model of this signature can be given; the request is at fault."""

    code = "LS1014"


class PortUnavailable(EnvironmentFault):
    """The endpoint cannot listen on the address."""

    code = "LS4023"

    def __init__(self, host: str, port: int, *, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host} port {port}: {reason}. Stop what uses the port, or choose another with --port."
        )


class EndpointUnavailable(EnvironmentFault):
    """An endpoint that is asked does not answer as it should."""

    code = "LS4024"
    retryable = True

    def __init__(self, url: str, *, problem: str) -> None:
        super().__init__(f"the endpoint at {url} {problem}. Check that `lockstep serve` runs there.")


class ModelsDiffer(RegistryError):
    """Batch and endpoint hold different models, so that comparing their scores says nothing."""

    code = "LS5010"

    def __init__(self, *, batch: str, endpoint: str) -> None:
        super().__init__(
            f"the batch run and the endpoint hold different models: batch {batch}, endpoint {endpoint}. "
            "Start the endpoint again, or name the version with --model-version."
        )


class OutputNotComparable(InputError):
    """Parity compares one number for each row, and the model gives something else."""

    code = "LS6020"

    def __init__(self, model: str, *, output: str, kind: str) -> None:
        super().__init__(
            f"parity compares one number for each row; output {output!r} of model {model} is a {kind}, which it cannot "
            "compare yet. Nothing was scored."
        )
