"""Environments against their locks."""

from pathlib import Path

import pytest

from lockstep.doctor.environments import check_environments
from tests.unit.doctor.worlds import Echo, states, world

LOCK = "torch==2.1.0\npandas==2.3.0\n"
SAME = {"python": "3.11.9", "packages": {"torch": "2.1.0+cpu", "Pandas": "2.3.0"}}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("control", "data", "training"):
        (tmp_path / "requirements").mkdir(exist_ok=True)
        (tmp_path / "requirements" / f"{name}.lock").write_text(LOCK)
        python = tmp_path / ".venv" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
    return tmp_path


def found(checkout: Path, answer: object = SAME) -> "list[object]":
    environ = {"LOCKSTEP_PROJECT": str(checkout)}
    return list(check_environments(world(checkout / "var", environ=environ, asking=Echo(answer))))


def test_all_three_as_in_their_locks(checkout: Path) -> None:
    assert states(found(checkout)) == ["ok", "ok", "ok"]


def test_one_that_is_not_there_is_to_be_made(checkout: Path) -> None:
    (checkout / ".venv" / "data" / "bin" / "python").unlink()
    told = found(checkout)
    assert states(told) == ["ok", "problem", "ok"]
    assert told[1].advice == "run `make setup-data`"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"python": "3.12.1", "packages": {}}, "Python 3.12.1; Lockstep needs 3.11"),
        ({**SAME, "packages": {"torch": "2.1.0"}}, "1 of 2 packages are not the lock's: pandas missing (lock: 2.3.0)"),
        ({**SAME, "packages": {"torch": "2.0", "pandas": "2.3.0"}}, "torch 2.0 (lock: 2.1.0)"),
    ],
)
def test_what_differs_is_named(checkout: Path, answer: object, said: str) -> None:
    told = found(checkout, answer)
    assert states(told) == ["problem"] * 3
    assert said in told[0].found


def test_a_lock_that_is_gone_is_a_warning(checkout: Path) -> None:
    (checkout / "requirements" / "training.lock").unlink()
    assert states(found(checkout)) == ["ok", "ok", "warning"]


def test_without_a_checkout_there_is_nothing_to_compare(tmp_path: Path) -> None:
    (told,) = found(tmp_path)
    assert (told.state, "no checkout" in told.found) == ("ok", True)
