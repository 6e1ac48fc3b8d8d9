"""Every error has a documented exit code."""

import inspect

import pytest

from lockstep import errors
from lockstep.cli.main import EXIT_CODE_HELP
from lockstep.run.exit_codes import BUG, TEMPORARY, exit_code

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.LockstepError) and kind not in (errors.LockstepError, errors.RequestInvalid)
]


@pytest.mark.parametrize("kind", ALL)
def test_no_error_of_ours_looks_like_a_bug(kind: type[errors.LockstepError]) -> None:
    error = errors.revive(kind.__name__, "text")
    assert error is not None
    assert str(error) == "text"
    code = exit_code(error)
    assert code != BUG
    assert (code == TEMPORARY) == kind.retryable
    assert str(code) in EXIT_CODE_HELP


def test_an_unknown_name_revives_nothing() -> None:
    assert errors.revive("SystemExit", "x") is None
    assert errors.revive("revive", "x") is None
