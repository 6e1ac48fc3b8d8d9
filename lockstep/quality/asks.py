"""What can be asked of rows, and questions: functions that ask, get the answers, and ask on or return.

A question is a generator that yields a tuple of asks and is sent the tuple of their answers. All questions are put
together, round by round: what they ask in one round is one query, whatever the number of checks.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lockstep.quality.columns import Column


@dataclass(frozen=True)
class Aggregate:
    """A number over all rows, as an SQL aggregate.

    Attributes:
        sql: Over the columns' `sql` names; understood by DuckDB and Spark alike unless it says otherwise.
        columns: Names of the columns that it reads.
        moment: Which of the `Moments` of its only column it is, if it is one; an engine may take it from there.
        terms: The whole numbers that it adds up, as SQL, if it is such a sum; it must be exact, and may be large.
    """

    sql: str
    columns: tuple[str, ...] = ()
    moment: str | None = None
    terms: str | None = None


@dataclass(frozen=True)
class Median:
    """The median of a column, halfway between the middle two of an even number; of times a time."""

    column: Column

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it reads."""
        return (self.column.name,)


@dataclass(frozen=True)
class HashSum:
    """The sum of 64-bit hashes of all rows' values, the same for equal rows in any order; of one engine only.

    Attributes:
        salt: What makes one sum differ from another over the same columns.
    """

    hashed: tuple[Column, ...]
    salt: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it reads."""
        return tuple(column.name for column in self.hashed)


@dataclass(frozen=True)
class Distinct:
    """How many different values a column has, nulls apart."""

    column: Column

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it reads."""
        return (self.column.name,)


@dataclass(frozen=True)
class Repeats:
    """Which rows have a combination of values that another row has too; nulls are equal. Answered by `Repeated`."""

    key: tuple[Column, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it reads."""
        return tuple(column.name for column in self.key)


@dataclass(frozen=True)
class Repeated:
    """The answer to `Repeats`.

    Attributes:
        keys: Combinations that more than one row has.
        rows: Rows with such a combination.
        null_rows: Those of them whose values are all null.
    """

    keys: int
    rows: int
    null_rows: int


@dataclass(frozen=True)
class Tally:
    """How many rows' texts do not fit what SQL cannot say: every different value is looked at once, in Python.

    Attributes:
        test: `matches`, a regular expression of Python, or `length`: at least and at most so many characters.
    """

    column: Column
    regex: str | None = None
    low: float | None = None
    high: float | None = None
    strict_low: bool = False
    strict_high: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it reads."""
        return (self.column.name,)


Ask: TypeAlias = Aggregate | Median | HashSum | Distinct | Repeats | Tally
Question: TypeAlias = Generator[tuple[Ask, ...], tuple[Any, ...], Any]


class Uncomputable(Exception):
    """A figure that the values of a column do not have; never leaves the checks."""


ROWS = Aggregate("count(*)")


def known(column: Column) -> Aggregate:
    """Ask how many values are not null."""
    return Aggregate(f"count({column.sql})", (column.name,), moment="count")


def count_where(condition: str, *columns: Column) -> Aggregate:
    """Ask how many rows meet a condition; one that is null is not met."""
    return Aggregate(f"count(*) FILTER (WHERE {condition})", tuple(column.name for column in columns))
