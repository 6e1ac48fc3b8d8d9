"""Errors as statuses of gRPC."""

from grpc import StatusCode

from lockstep.errors import LockstepError, ModelNotFound, RegistryError, RegistryUnavailable, RequestInvalid
from lockstep.serving.errors import (
    ClientGone,
    DeadlinePassed,
    ModelUnknown,
    NothingToRollBackTo,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    RowsRefused,
)
from lockstep.serving.features.errors import FeatureSourceUnavailable, FeaturesRefused
from lockstep.serving.security.errors import Forbidden, RateLimited, SignersUnknown, Unauthenticated

# From error to status; the first class that fits counts.
CODES: tuple[tuple[type[LockstepError], StatusCode], ...] = (
    (ModelUnknown, StatusCode.NOT_FOUND),
    (ModelNotFound, StatusCode.NOT_FOUND),
    (Unauthenticated, StatusCode.UNAUTHENTICATED),
    (SignersUnknown, StatusCode.UNAVAILABLE),
    (Forbidden, StatusCode.PERMISSION_DENIED),
    (RateLimited, StatusCode.RESOURCE_EXHAUSTED),
    (NothingToRollBackTo, StatusCode.FAILED_PRECONDITION),
    (RegistryUnavailable, StatusCode.UNAVAILABLE),
    (RegistryError, StatusCode.FAILED_PRECONDITION),
    (PayloadTooLarge, StatusCode.RESOURCE_EXHAUSTED),
    (RequestInvalid, StatusCode.INVALID_ARGUMENT),
    (RowsRefused, StatusCode.INVALID_ARGUMENT),
    (FeaturesRefused, StatusCode.INVALID_ARGUMENT),
    (FeatureSourceUnavailable, StatusCode.UNAVAILABLE),
    (Overloaded, StatusCode.RESOURCE_EXHAUSTED),
    (NotReady, StatusCode.UNAVAILABLE),
    (DeadlinePassed, StatusCode.DEADLINE_EXCEEDED),
    (ClientGone, StatusCode.CANCELLED),
)
# What gRPC's own clients wait before they try again: https://github.com/grpc/proposal/blob/master/A6-client-retries.md.
PUSHBACK = "grpc-retry-pushback-ms"
# Details travel in a header; clients refuse longer ones by default, and then see neither status nor details.
DETAILS_BYTES = 4000
PERCENT_ENCODED = 3


def code_of(error: LockstepError) -> StatusCode:
    """Return the status of an error."""
    return next((code for kind, code in CODES if isinstance(error, kind)), StatusCode.INTERNAL)


def details_of(error: LockstepError) -> str:
    """Return the message of an error, cut to what fits into a header."""
    text, left = str(error), DETAILS_BYTES
    for place, character in enumerate(text):
        left -= 1 if " " <= character <= "~" else PERCENT_ENCODED * len(character.encode("utf-8", "replace"))
        if left < 0:
            return text[:place] + " ..."
    return text


def pushback(error: LockstepError) -> tuple[tuple[str, str], ...]:
    """Return the trailing metadata that says when to try again, if the error does."""
    seconds = getattr(error, "retry_after_s", None)
    return ((PUSHBACK, str(int(seconds * 1000))),) if seconds is not None else ()
