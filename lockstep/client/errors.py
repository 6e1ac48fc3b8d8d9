"""What can go wrong when an endpoint is asked. Messages hold what the server said, never a row or a credential."""

from lockstep.errors import EnvironmentFault, InputError, LockstepError, RegistryError, SettingsError
from lockstep.serving.errors import EndpointUnavailable


class TargetInvalid(SettingsError):
    """The address of an endpoint, or what the client is to send along, cannot be used."""

    code = "LS3007"

    def __init__(self, problem: str) -> None:
        LockstepError.__init__(self, problem)


class RowsUnfit(InputError):
    """Rows do not fit the inputs of the model; nothing was sent of them."""

    code = "LS6025"


class FileUnfit(InputError):
    """A file of rows cannot be read."""

    code = "LS6026"

    def __init__(self, name: str, *, problem: str) -> None:
        super().__init__(f"{name} cannot be read: {problem}")


class OutputUnwritable(EnvironmentFault):
    """A file for predictions cannot be written."""

    code = "LS4032"

    def __init__(self, name: str, *, problem: str) -> None:
        super().__init__(f"{name} cannot be written: {problem}. Nothing is left of it.")


class Unanswered(EndpointUnavailable):
    """A request has no answer that can be used.

    Attributes:
        url: Of the endpoint.
        problem: What happened instead.
        rows: First row of the input that the request was for, and the one after its last; none: it was for no rows.
    """

    code = "LS4033"

    def __init__(self, url: str, *, problem: str) -> None:
        self.url, self.problem = url, problem
        self.rows: tuple[int, int] | None = None
        super().__init__(url, problem=problem)

    def about(self, first: int, count: int) -> "Unanswered":
        """Return the same error, of so many rows of the input from `first` on."""
        found = type(self).__new__(type(self))
        found.__dict__.update(self.__dict__)
        found.rows = first, first + count
        problem = f"{self.problem}, asked about rows {first} to {first + count - 1} of the input"
        EndpointUnavailable.__init__(found, self.url, problem=problem)
        return found


class ConnectionFailed(Unanswered):
    """No answer came.

    Args:
        refused: Whether nobody listened, so that nothing was sent.
    """

    code = "LS4034"

    def __init__(self, url: str, *, problem: str, refused: bool = False) -> None:
        self.refused = refused
        super().__init__(url, problem=problem)


class AnswerInvalid(Unanswered):
    """An answer is not one of the protocol."""

    code = "LS4035"

    def __init__(self, url: str, *, problem: str) -> None:
        super().__init__(url, problem=f"gave an answer outside the protocol: {problem}")


class AnswerTooLate(Unanswered):
    """No answer came before the client's deadline."""

    code = "LS4036"

    def __init__(self, url: str, *, timeout_s: float) -> None:
        super().__init__(url, problem=f"did not answer within {timeout_s:g} s")


class VersionsDiffer(RegistryError):
    """Rows of one prediction were answered by several versions, and one is asked for."""

    code = "LS5011"

    def __init__(self, versions: list[str]) -> None:
        told = "; ".join(versions)
        super().__init__(f"the rows were answered by several versions: {told}. See the answers of the prediction.")


class Refusal(LockstepError):
    """The endpoint answered with an error.

    Attributes:
        url: Of the endpoint.
        status: HTTP status, or the name of gRPC's.
        said: Its message.
        request_id: Under which its log has the request.
        rows: First row of the input that the request was for, and the one after its last; none: it was for no rows.
        retry_after_s: When to come back, if it said so.
    """

    code = "LS1030"
    advice = ""

    def __init__(
        self,
        url: str,
        status: str,
        said: str,
        *,
        request_id: str,
        rows: tuple[int, int] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.url, self.status, self.said, self.request_id = url, status, said, request_id
        self.rows, self.retry_after_s = rows, retry_after_s
        what = "" if rows is None else f" rows {rows[0]} to {rows[1] - 1} of the input"
        note = f"; its rows count from row {rows[0]} of the input" if rows is not None and rows[0] else ""
        super().__init__(
            f"the endpoint at {url} refused{what}: {said} (status {status}, request {request_id}{note}){self.advice}"
        )

    def about(self, first: int, count: int) -> "Refusal":
        """Return the same error, of so many rows of the input from `first` on."""
        facts = {"request_id": self.request_id, "retry_after_s": self.retry_after_s}
        return type(self)(self.url, self.status, self.said, rows=(first, first + count), **facts)  # type: ignore[arg-type]


class RequestRefused(Refusal, InputError):
    """The rows do not fit the model, or it has no finite score for one of them."""

    code = "LS6027"


class RequestTooLarge(RequestRefused):
    """The request is larger than the endpoint takes."""

    code = "LS6028"


class AccessRefused(Refusal, EnvironmentFault):
    """Credentials are missing, not accepted, or do not allow this."""

    code = "LS4037"
    advice = " `lockstep predict` sends credentials with --key-file FILE or --token-env VARIABLE."


class ModelNotServed(Refusal, RegistryError):
    """The model or the version is not served."""

    code = "LS5012"


class EndpointBusy(Refusal, EnvironmentFault):
    """Too much to do, too many requests, or not ready; may do later."""

    code = "LS4038"
    retryable = True


class DeadlineRefused(Refusal, EnvironmentFault):
    """The endpoint could not answer before the deadline, and scored nothing."""

    code = "LS4039"
    retryable = True


class EndpointFailed(Refusal, EnvironmentFault):
    """The endpoint failed."""

    code = "LS4040"


HTTP_ERRORS: dict[int, type[Refusal]] = {
    400: RequestRefused,
    401: AccessRefused,
    403: AccessRefused,
    404: ModelNotServed,
    408: EndpointBusy,
    413: RequestTooLarge,
    415: RequestRefused,
    429: EndpointBusy,
    503: EndpointBusy,
    504: DeadlineRefused,
}
GRPC_ERRORS: dict[str, type[Refusal]] = {
    "INVALID_ARGUMENT": RequestRefused,
    "UNAUTHENTICATED": AccessRefused,
    "PERMISSION_DENIED": AccessRefused,
    "NOT_FOUND": ModelNotServed,
    "RESOURCE_EXHAUSTED": EndpointBusy,
    "UNAVAILABLE": EndpointBusy,
    "DEADLINE_EXCEEDED": DeadlineRefused,
}
# How the endpoint begins the message of a status 500 that is about rows.
UNSCORABLE = "rows cannot be scored"


def refusal(kind: type[Refusal] | None, url: str, status: str, *, said: str, **facts: object) -> Refusal:
    """Return the error of an answer; one without a kind of its own is the endpoint's failure, or that of rows."""
    found = kind or (RequestRefused if UNSCORABLE in said else EndpointFailed)
    return found(url, status, said, **facts)  # type: ignore[arg-type]
