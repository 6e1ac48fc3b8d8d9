"""What can go wrong between the process that holds the models and those that ask it."""

from lockstep.errors import EnvironmentFault, LockstepError
from lockstep.serving.errors import DeadlinePassed


class FrameInvalid(LockstepError):
    """What came over the socket is not what the other side should have sent."""

    code = "LS1027"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"a message between two workers of the endpoint cannot be read: {problem}; the link is made anew"
        )


class SocketPathTooLong(EnvironmentFault):
    """The folder of the workers has a name with which no socket can be made in it."""

    code = "LS4031"

    def __init__(self, path: str, *, most_bytes: int) -> None:
        super().__init__(
            f"the workers' socket {path} cannot be made: its path has more than {most_bytes} bytes. "
            "Set TMPDIR to a folder with a shorter path, or set 'copies: each'."
        )


class NotHeld(LockstepError):
    """The owner does not hold the version that a front asks for; the front takes hold of it again, once."""

    code = "LS1028"
    retryable = True

    def __init__(self) -> None:
        super().__init__("the version is not held")


class OwnerLate(DeadlinePassed):
    """The deadline that the client set is over, and the owner has not said anything of the request."""

    code = "LS1011"

    def __init__(self) -> None:
        LockstepError.__init__(
            self,
            "the deadline passed before the worker that holds the models answered. Allow the request more time",
        )


class ScoringBroke(Exception):
    """Scoring failed at the owner in a way that is no error of the endpoint's own; its log says how."""
