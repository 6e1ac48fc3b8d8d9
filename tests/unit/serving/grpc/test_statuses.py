"""Every error has a status, and details that fit into a header."""

import pytest
from grpc import StatusCode

from lockstep.errors import ArtifactInvalid, LockstepError, ModelNotFound, RegistryUnavailable, RequestInvalid
from lockstep.serving import errors
from lockstep.serving.grpc.statuses import DETAILS_BYTES, code_of, details_of, pushback
from lockstep.serving.security.errors import Forbidden, RateLimited, RowsOverBurst, SignersUnknown, Unauthenticated

CASES: list[tuple[LockstepError, StatusCode]] = [
    (RequestInvalid("x"), StatusCode.INVALID_ARGUMENT),
    (errors.RowsRefused({0: "x"}, rows=1), StatusCode.INVALID_ARGUMENT),
    (errors.MediaTypeUnsupported("x", got="y", expected="z"), StatusCode.INVALID_ARGUMENT),
    (errors.ModelUnknown("m", None, served="x"), StatusCode.NOT_FOUND),
    (errors.NothingToRollBackTo("m"), StatusCode.FAILED_PRECONDITION),
    (errors.PayloadTooLarge(limit_bytes=1), StatusCode.RESOURCE_EXHAUSTED),
    (errors.Overloaded("x", retry_after_s=0.2), StatusCode.RESOURCE_EXHAUSTED),
    (errors.NotReady("m", reason="x"), StatusCode.UNAVAILABLE),
    (errors.DeadlinePassed(predicted=True), StatusCode.DEADLINE_EXCEEDED),
    (errors.ClientGone(), StatusCode.CANCELLED),
    (ModelNotFound("m", wanted="version 9", tracking_uri="x"), StatusCode.NOT_FOUND),
    (RegistryUnavailable("x", reason="y"), StatusCode.UNAVAILABLE),
    (ArtifactInvalid("m", "x"), StatusCode.FAILED_PRECONDITION),
    (Unauthenticated("missing"), StatusCode.UNAUTHENTICATED),
    (SignersUnknown(retry_after_s=3), StatusCode.UNAVAILABLE),
    (Forbidden("c", action="infer", model="m"), StatusCode.PERMISSION_DENIED),
    (RateLimited(wait_s=0.5), StatusCode.RESOURCE_EXHAUSTED),
    (RowsOverBurst(rows=2, burst=1), StatusCode.INVALID_ARGUMENT),
    (errors.DecodedTooLarge(limit_bytes=1), StatusCode.RESOURCE_EXHAUSTED),
    (errors.RowsUnscorable({0: "x"}, rows=1), StatusCode.INTERNAL),
    (LockstepError("x"), StatusCode.INTERNAL),
]


@pytest.mark.parametrize(("error", "code"), CASES)
def test_an_error_has_its_status(error: LockstepError, code: StatusCode) -> None:
    assert code_of(error) is code


def test_who_is_to_come_back_is_told_when() -> None:
    assert pushback(errors.Overloaded("x", retry_after_s=1.5)) == (("grpc-retry-pushback-ms", "2000"),)
    assert pushback(RequestInvalid("x")) == ()


@pytest.mark.parametrize("character", ["a", "%", "é", "🦊", "\n"])
def test_long_details_are_cut_to_what_a_header_takes(character: str) -> None:
    found = details_of(RequestInvalid(character * 20_000))
    encoded = sum(1 if " " <= c <= "~" else 3 * len(c.encode()) for c in found)
    assert encoded <= DETAILS_BYTES + len(" ...")
    assert found.endswith(" ...")
    assert details_of(RequestInvalid("short é")) == "short é"
