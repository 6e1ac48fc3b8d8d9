"""Every error has a documented exit code."""

import inspect

import pytest

from lockstep import errors
from lockstep.cli.main import EXIT_CODE_HELP
from lockstep.run.exit_codes import BUG, EXIT_CODES, MEANINGS, TEMPORARY, exit_code
from tools.commands_page import PAGE, exit_code_table

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
    assert code in MEANINGS


def test_an_unknown_name_revives_nothing() -> None:
    assert errors.revive("SystemExit", "x") is None
    assert errors.revive("revive", "x") is None


def test_every_code_has_one_meaning_in_help_and_on_the_page() -> None:
    assert {code for _, code in EXIT_CODES} < set(MEANINGS)
    for code, (word, _) in MEANINGS.items():
        assert f"{code} {word}" in EXIT_CODE_HELP
    assert exit_code_table() in PAGE.read_text(encoding="utf-8"), "run `make errors`"


def test_the_table_names_the_families_of_the_index() -> None:
    rows = exit_code_table().splitlines()[2:]
    assert [int(row.split("|")[1]) for row in rows] == list(MEANINGS)
    assert "(errors.md#model-registry)" in next(row for row in rows if row.startswith("| 5 |"))
