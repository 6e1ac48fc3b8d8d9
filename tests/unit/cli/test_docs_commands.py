"""The commands in README and docs/ are ones that the real parser takes, and targets that the Makefile has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.commands import ROOT, parse

PROJECT = Path(__file__).parents[3]
PAGES = sorted([*(PROJECT / "docs").rglob("*.md"), *PROJECT.glob("*.md")])
FENCE = re.compile(r"(?ms)^ *```(?:bash|console|sh)?\n(.*?)^ *```")
INLINE = re.compile(r"`([^`\n]+)`")
# Messages shorten their commands; mistakes are what they say.
WRONG_ON_PURPOSE = ("errors.md", "mistakes.md")
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", (PROJECT / "Makefile").read_text()))


def lines_in_fences(page: Path) -> Iterator[str]:
    for fence in FENCE.findall(page.read_text(encoding="utf-8")):
        yield from (line.strip().removeprefix("$ ") for line in fence.replace("\\\n", " ").splitlines())


WHOLE = [
    (page.relative_to(PROJECT).as_posix(), line)
    for page in PAGES
    if page.name not in WRONG_ON_PURPOSE
    for line in lines_in_fences(page)
    if line.startswith("lockstep ")
]


def test_there_are_commands() -> None:
    assert len(WHOLE) > 40


@pytest.mark.parametrize(("page", "line"), WHOLE)
def test_a_command_of_a_page_is_one_that_the_parser_takes(page: str, line: str) -> None:
    words = shlex.split(line.split(" | ", maxsplit=1)[0], comments=True)
    parse(words[1 : words.index(">")] if ">" in words else words[1:])


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(PROJECT).as_posix() for page in PAGES])
def test_commands_that_a_page_speaks_of_exist(page: Path) -> None:
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))
    for span in INLINE.findall(text):
        words = span.split()
        if words[0] == "lockstep" and len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]):
            assert words[1] in ROOT.commands, span
            below = getattr(ROOT.commands[words[1]], "commands", {})
            if len(words) > 2 and re.fullmatch(r"[a-z][a-z-]*", words[2]) and below and words[1] != "parity":
                assert words[2] in below, span
        if words[0] == "make" and len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]):
            assert words[1] in TARGETS, span
