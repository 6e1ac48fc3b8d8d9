"""Worlds for the doctor, in which other interpreters answer from here."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lockstep.doctor.asking import NoAnswer
from lockstep.doctor.finding import Finding
from lockstep.doctor.world import World, look_around

MODELS = Path(__file__).parents[3] / "models"


class Answers:
    """Answers a program by a word of its command, or not at all."""

    def __init__(self, **told: Any) -> None:
        self.told = told

    def ask(self, command: Sequence[str]) -> Any:
        answer = next((self.told[word] for word in command if word in self.told), None)
        if answer is None:
            raise NoAnswer("no answer within 1 s")
        return answer


class Echo:
    """Answers whatever is asked with one document."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def ask(self, command: Sequence[str]) -> Any:
        del command
        return self.answer


def world(home: Path, *, environ: dict[str, str] | None = None, asking: Any = None, **told: Any) -> World:
    known = {"LOCKSTEP_HOME": str(home), "LOCKSTEP_MODELS": str(MODELS)}
    return look_around(known | (environ or {}), asking or Answers(**told))


def states(found: Iterable[Finding]) -> list[str]:
    return [one.state for one in found]
