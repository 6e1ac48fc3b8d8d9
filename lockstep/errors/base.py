"""The root of the tree of errors."""


class LockstepError(Exception):
    """Base of all errors that are shown to a user as one message, without a stack trace.

    Attributes:
        retryable: Whether the same command may succeed later with nothing changed.
    """

    retryable = False
