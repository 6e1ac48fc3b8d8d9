"""Errors on their way between two workers, so that a client is told the same whichever of them it asked."""

from collections.abc import Mapping
from typing import Any

import lockstep.errors
import lockstep.serving.errors
from lockstep.errors import LockstepError
from lockstep.serving.one_copy.errors import NotHeld, ScoringBroke

ERROR, MESSAGE, MARKS = "error", "message", "marks"
# What edges read from an error beside its message.
MARKED = ("retryable", "retry_after_s")

KINDS: dict[str, type[LockstepError]] = {
    kind.__name__: kind
    for module in (lockstep.errors, lockstep.serving.errors)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, LockstepError)
} | {NotHeld.__name__: NotHeld}


def tell_failure(error: Exception) -> dict[str, Any]:
    """Return what a header says of an error; of one that is none of ours its name alone, since it may quote data."""
    if not isinstance(error, LockstepError):
        return {ERROR: "", MESSAGE: type(error).__name__}
    name = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in KINDS)
    marks = {mark: getattr(error, mark) for mark in MARKED if hasattr(error, mark)}
    return {ERROR: name, MESSAGE: str(error), MARKS: marks}


def raise_told(header: Mapping[str, Any]) -> None:
    """Raise the error that a header tells of, if it does.

    Raises:
        LockstepError: Of the class and with the message that it had.
        ScoringBroke: It was none of ours.
    """
    name = header.get(ERROR)
    if name is None:
        return
    kind = KINDS.get(name)
    if kind is None:
        raise ScoringBroke(str(header.get(MESSAGE)))
    # Its constructor takes facts, of which the message was made where it happened.
    error = kind.__new__(kind)
    LockstepError.__init__(error, str(header.get(MESSAGE)))
    for mark, value in header.get(MARKS, {}).items():
        if mark in MARKED:
            setattr(error, mark, value)
    raise error
