"""An error that another worker raised reaches the client as if it had been raised here."""

import pytest

from lockstep.errors import LockstepError, ModelNotFound, RegistryUnavailable
from lockstep.serving.answering import status_of
from lockstep.serving.errors import (
    ClientGone,
    DeadlinePassed,
    NothingToRollBackTo,
    NotReady,
    Overloaded,
    PayloadTooLarge,
)
from lockstep.serving.one_copy.errors import NotHeld, ScoringBroke
from lockstep.serving.one_copy.failures import raise_told, tell_failure

ERRORS = [
    Overloaded("3 requests wait already", retry_after_s=2.5),
    NotReady("toy", reason="no version is loaded"),
    DeadlinePassed(predicted=True),
    DeadlinePassed(predicted=False),
    NothingToRollBackTo("toy"),
    PayloadTooLarge(limit_bytes=5),
    ClientGone(),
    NotHeld(),
    ModelNotFound("toy", wanted="version 9", tracking_uri="nowhere"),
    RegistryUnavailable("nowhere", "no answer"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_class_message_and_marks_are_the_same(error: LockstepError) -> None:
    with pytest.raises(type(error)) as caught:
        raise_told(tell_failure(error))
    found = caught.value
    assert (type(found), str(found), found.retryable) == (type(error), str(error), error.retryable)
    assert getattr(found, "retry_after_s", None) == getattr(error, "retry_after_s", None)
    assert status_of(found) == status_of(error)


def test_a_class_that_the_other_side_does_not_know_is_the_nearest_that_it_does() -> None:
    class Special(Overloaded):
        pass

    with pytest.raises(Overloaded, match="too much") as caught:
        raise_told(tell_failure(Special("too much", retry_after_s=1)))
    assert type(caught.value) is Overloaded


def test_an_error_of_the_model_is_told_without_its_message() -> None:
    told = tell_failure(ValueError("secret 4711"))
    assert "4711" not in str(told)
    with pytest.raises(ScoringBroke, match="ValueError"):
        raise_told(told)


def test_an_answer_is_no_error() -> None:
    raise_told({"id": 1, "rows": 3})
