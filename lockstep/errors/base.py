"""The root of the tree of errors."""


class LockstepError(Exception):
    """Base of all errors that are shown to a user as one message, without a stack trace.

    Attributes:
        code: What people look the error up by; of one class, for good (docs/adr/0040-error-codes.md). A class of
            somebody else's that declares none has that of its base.
        retryable: Whether the same command may succeed later with nothing changed.
    """

    code = "LS1001"
    retryable = False
