"""What a newcomer does wrong, made for real: each message is all that a stranger needs to go on, on one screen."""

import re
from pathlib import Path

import pytest
from newcomers.begin import prepare
from newcomers.commands import Outcome
from newcomers.every import can_hide, every, outcomes
from newcomers.mistake import Mistake
from newcomers.page import PAGE
from world import World

from lockstep.errors.index import errors_index

SCREEN_LINES = 24
PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What came of each mistake, by its title; all are made side by side."""
    prepare(world)
    possible = tuple(mistake for mistake in every() if not mistake.hide or can_hide())
    return outcomes(world, tmp_path_factory.mktemp("mistakes"), possible)


@pytest.mark.parametrize("mistake", every(), ids=lambda mistake: mistake.key)
def test_a_mistake_is_answered_with_what_a_stranger_needs(mistake: Mistake, made: dict[str, Outcome]) -> None:
    if mistake.title not in made:
        pytest.skip("needs a mount namespace: root on Linux")
    code, text = made[mistake.title].code, made[mistake.title].text
    assert code == mistake.code, text
    assert "Traceback" not in text
    assert PASSWORD not in text
    assert len(text.splitlines()) <= SCREEN_LINES, text
    missing = [name for name in mistake.names if "{" not in name and name not in unwrapped(text)]
    assert not missing, text
    assert re.findall(r"lockstep: error: \[(\w+)\]", text) == ([mistake.error] if mistake.error else []), text


def unwrapped(text: str) -> str:
    """Return an output without the frames and line ends of what refuses a command line."""
    return text + " ".join(text.replace("│", " ").split())


def test_there_are_thirty_and_more_and_no_two_are_one() -> None:
    assert len({mistake.title for mistake in every()}) == len(every()) >= 30


@pytest.mark.parametrize("mistake", every(), ids=lambda mistake: mistake.key)
def test_the_page_tells_of_it(mistake: Mistake) -> None:
    """As far as the table goes; `make mistakes` takes all texts anew."""
    sections = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    text = unwrapped(sections.get(mistake.title, ""))
    assert f" {mistake.code}" in text, "run `make mistakes`"
    assert not [name for name in (*mistake.names, mistake.error) if "{" not in name and name.lstrip("/") not in text]
    assert not mistake.error or mistake.error in errors_index().entries


def test_the_page_has_no_other_and_no_place_of_a_machine() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^### (.+)$", text, re.MULTILINE) == [mistake.title for mistake in every()]
    assert not re.search(r"/tmp/|/root/|/home/|" + re.escape(str(Path.home())), text)
