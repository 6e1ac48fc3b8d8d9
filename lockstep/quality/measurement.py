"""What checks need of an engine that measures rows, and the rounds in which questions are put to it."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lockstep.quality.asks import Ask, HashSum, Question, Uncomputable
from lockstep.quality.columns import MICROS, Column, Kind
from lockstep.quality.rows import Rows

EngineName = Literal["embedded", "spark"]
UNREADABLE = "the engine of the checks cannot read them (damaged, or text that is not UTF-8?)"


class Measurement(ABC):
    """Rows and an engine that measures them; both engines give the same answers.

    Attributes:
        columns: The columns and figures that questions may name, by name.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        """Store what questions may name."""
        self.columns = dict(columns)
        self._answers: dict[Ask, Any] = {}

    def answer(self, questions: Mapping[Any, Question]) -> dict[Any, Any]:
        """Answer questions, all of them together in each round; what was asked before is not measured again.

        Returns:
            For each key the value of its question, or an `Uncomputable`.
        """
        found: dict[Any, Any] = {}
        waiting = {key: asks for key, question in questions.items() if (asks := _step(question, None, found, key=key))}
        while waiting:
            new = {ask for asks in waiting.values() for ask in asks} - self._answers.keys()
            if new:
                self._answers.update(self._measure(sorted(new, key=repr)))
            told = {key: tuple(self._answers[ask] for ask in asks) for key, asks in waiting.items()}
            waiting = {
                key: asks for key, told_now in told.items() if (asks := _step(questions[key], told_now, found, key=key))
            }
        return found

    @abstractmethod
    def rows_where(self, condition: str, *, names: Sequence[str], limit: int) -> list[tuple[Any, ...]]:
        """Return some rows that meet a condition, in order of their values, nulls last.

        Args:
            condition: SQL over the columns; it may have window functions.
            names: The columns to return.
            limit: Most rows.
        """

    @abstractmethod
    def _measure(self, asks: Sequence[Ask]) -> Mapping[Ask, Any]:
        """Answer what was not asked before: a round."""


class Measuring(Protocol):
    """Opens the measurement of rows."""

    def __call__(self, rows: Rows, *, names: Sequence[str]) -> AbstractContextManager[Measurement]:
        """Open it for the time of the body; `names` are all columns and figures that questions may name."""


@dataclass(frozen=True)
class Engine:
    """An engine of the checks.

    Attributes:
        name: For the verdict.
        measuring: Opens the measurement of rows.
    """

    name: EngineName
    measuring: Measuring


def _step(question: Question, answers: Any, found: dict[Any, Any], *, key: Any) -> tuple[Ask, ...] | None:
    """Go on with a question; its value goes to `found`."""
    try:
        return question.send(answers)
    except StopIteration as stop:
        found[key] = stop.value
    except Uncomputable as problem:
        found[key] = problem
    return None


def hashed(ask: HashSum, *, whole: str) -> list[str]:
    """Return SQL of the values that are hashed: salted ones in the opposite order, their texts with a prefix.

    Args:
        ask: Whose values.
        whole: Type of whole numbers, which may have another width elsewhere.
    """
    if not ask.salt:
        return [_hashed(column, whole=whole, prefix="") for column in ask.hashed]
    return [str(ask.salt), *(_hashed(column, whole=whole, prefix="~") for column in reversed(ask.hashed))]


def _hashed(column: Column, *, whole: str, prefix: str) -> str:
    if column.kind is Kind.TEXT:
        return f"'{prefix}' || {column.sql}" if prefix else column.sql
    if column.kind is Kind.NUMBER:
        return f"CAST({column.sql} AS {whole if column.whole else 'DOUBLE'})"
    return column.sql


def mentions(condition: str, column: Column) -> bool:
    """Whether a condition reads a column."""
    return re.search(rf"\b{column.sql}({MICROS})?\b", condition) is not None


def plain(value: Any) -> Any:
    """Return NaN as no value."""
    return None if isinstance(value, float) and math.isnan(value) else value


def grouped(column: Column) -> str:
    """Return SQL by which rows are grouped: floats of 32 bits as doubles, so that both engines do alike."""
    return f"CAST({column.sql} AS DOUBLE)" if column.single else column.sql
