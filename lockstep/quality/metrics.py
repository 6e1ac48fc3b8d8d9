"""The metrics of Great Expectations as questions: what each asks of the rows, and how its value comes from the answers.

Values are those of the metric's own code for pandas (a test compares them, expectation by expectation). Where a kind of
value has no such figure, the answer is `Uncomputable`, unless there is no value at all.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lockstep.quality import conditions
from lockstep.quality.asks import (
    ROWS,
    Aggregate,
    Ask,
    Distinct,
    Median,
    Question,
    Repeats,
    Tally,
    Uncomputable,
    count_where,
    known,
)
from lockstep.quality.columns import Column, Kind
from lockstep.quality.numbers import LARGEST_SQUARED
from lockstep.quality.patterns import engine_pattern

Kwargs: TypeAlias = Mapping[str, Any]
Condition: TypeAlias = Callable[..., str]
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - all times of checks are naive UTC


def _aggregate(sql: str, column: Column, *, moment: str | None = None) -> Aggregate:
    return Aggregate(sql, (column.name,), moment=moment)


def _extreme(which: str, column: Column) -> Aggregate:
    return _aggregate(f"{which}({column.number})", column, moment={"min": "low", "max": "high"}[which])


def _only(column: Column, kinds: frozenset[Kind]) -> Question:
    """Return whether the column has a value, of one of the kinds."""
    if column.kind in kinds:
        return True
    if column.kind is Kind.TIME:  # its type alone says so, also without a value
        raise Uncomputable
    (count,) = yield (known(column),)
    if count:
        raise Uncomputable
    return False


def row_count() -> Question:
    """Rows."""
    (rows,) = yield (ROWS,)
    return rows


def null_count(column: Column) -> Question:
    """Rows that are null."""
    rows, count = yield ROWS, known(column)
    return rows - count


def known_count(column: Column) -> Question:
    """Rows that are not null."""
    (count,) = yield (known(column),)
    return count


def extreme(which: str) -> Callable[[Column], Question]:
    """Smallest (`min`) or largest (`max`) value."""

    def question(column: Column) -> Question:
        if not (yield from _only(column, conditions.NUMERIC | {Kind.TIME})):
            return None
        (value,) = yield (_extreme(which, column),)
        return value

    return question


def mean(column: Column) -> Question:
    """Mean."""
    if not (yield from _only(column, conditions.NUMERIC | {Kind.TIME})):
        return None
    if column.kind is Kind.TIME:
        count, total = yield known(column), _whole_sum(column.micros, column)
        return EPOCH + dt.timedelta(microseconds=(2 * total + count) // (2 * count)) if count else None
    count, total = yield known(column), _sum(column)
    return None if total is None or not count else total / count  # both infinities add up to nothing


def _sum(column: Column) -> Aggregate:
    if column.whole or column.kind is Kind.FLAG:
        return _whole_sum(column.number, column, moment="total")
    return _aggregate(f"sum(CAST({column.number} AS DOUBLE))", column, moment="total")


def _whole_sum(terms: str, column: Column, *, moment: str | None = None) -> Aggregate:
    return Aggregate(f"sum({terms})", (column.name,), moment=moment, terms=terms)


def total(column: Column) -> Question:
    """Sum; 0 of no value."""
    if not (yield from _only(column, conditions.NUMERIC)):
        return 0
    count, value = yield known(column), _sum(column)
    return value if count else 0


def deviation(column: Column) -> Question:
    """Standard deviation of a sample."""
    if not (yield from _only(column, conditions.NUMERIC)):
        return None
    number = f"CAST({column.number} AS DOUBLE)"
    spread = f"stddev_samp({number}) FILTER (WHERE abs({number}) < {LARGEST_SQUARED!r})"
    low, high, value = yield (
        _extreme("min", column),
        _extreme("max", column),
        _aggregate(spread, column, moment="deviation"),
    )
    if low is None or math.isinf(low) or math.isinf(high):
        return None
    return math.inf if max(-low, high) >= LARGEST_SQUARED else value


def median(column: Column) -> Question:
    """Median, halfway between the middle two of an even number."""
    if not (yield from _only(column, conditions.NUMERIC | {Kind.TIME})):
        return None
    (value,) = yield (Median(column),)
    return value


def distinct_count(column: Column) -> Question:
    """Different values."""
    if not (yield from _only(column, frozenset(Kind) - {Kind.OTHER})):
        return 0
    (count,) = yield (Distinct(column),)
    return count


def unique_proportion(column: Column) -> Question:
    """Different values as a share of the values."""
    count = yield from distinct_count(column)
    (values,) = yield (known(column),)
    return count / values if values else 0


def known_proportion(column: Column) -> Question:
    """Values as a share of the rows."""
    rows, values = yield ROWS, known(column)
    return values / rows if rows else 0


def repeated_values(column: Column) -> Question:
    """Rows with a value that another row has too."""
    if not (yield from _only(column, frozenset(Kind) - {Kind.OTHER})):
        return 0
    (found,) = yield (Repeats((column,)),)
    return found.rows - found.null_rows


def repeated_records(*columns: Column) -> Question:
    """Rows with a combination that another row has too."""
    (found,) = yield (Repeats(columns),)
    return found.rows - found.null_rows


def repeated_keys(key: tuple[Column, ...]) -> Question:
    """Keys that more than one row has, a key of nulls too."""
    (found,) = yield (Repeats(key),)
    return found.keys


def counted(condition: Condition) -> Callable[..., Question]:
    """Rows that meet a condition, unless it cannot be said of these columns; then there must be no value."""

    def question(*columns: Column, **kwargs: Any) -> Question:
        try:
            sql = condition(*columns, **kwargs)
        except Uncomputable:
            counts = yield tuple(known(column) for column in columns)
            if any(counts):
                raise
            return 0
        (count,) = yield (count_where(sql, *columns),)
        return count

    return question


def out_of_bounds(column: Column, kwargs: Kwargs) -> Question:
    """Rows beyond the bounds; they are counted only where the smallest or largest value says that there are any."""
    try:
        condition = conditions.outside(column, kwargs)
    except Uncomputable:
        return (yield from counted(conditions.outside)(column, kwargs=kwargs))
    low, high = yield tuple(_extreme(which, column) for which in ("min", "max"))
    if low is None or (not column.single and conditions.within(low, high, kwargs)):
        return 0
    (count,) = yield (count_where(condition, column),)
    return count


def mismatches(column: Column, kwargs: Kwargs, *, when: bool) -> Question:
    """Rows that match a regular expression, or that do not."""
    pattern = engine_pattern(kwargs["regex"]) if column.kind is Kind.TEXT else None
    ask: Ask
    if pattern is None:
        ask = Tally(column, regex=kwargs["regex"])
    else:
        ask = count_where(f"NOT {conditions.matches(column, pattern)}", column)
    count, misses = yield known(column), ask
    return count - misses if when else misses


def wrong_lengths(column: Column, kwargs: Kwargs) -> Question:
    """Rows whose text is too short or too long."""
    if column.kind is Kind.TEXT:
        return (yield from counted(conditions.wrong_length)(column, kwargs=kwargs))
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if kwargs.get("value") is not None:
        low = high = kwargs["value"]
    strict_low, strict_high = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
    (count,) = yield (Tally(column, low=low, high=high, strict_low=strict_low, strict_high=strict_high),)
    return count


def scored(column: Column) -> Column:
    """Return what z-scores are taken of: of a time its microseconds."""
    return Column(column.name, Kind.NUMBER, column.micros, whole=True) if column.kind is Kind.TIME else column


def outliers(column: Column, kwargs: Kwargs) -> Question:
    """Rows with a z-score at or beyond the threshold; none where it is not defined."""
    is_time, column = column.kind is Kind.TIME, scored(column)
    if not (yield from _only(column, conditions.NUMERIC)):
        return 0
    centre = yield from mean(column)
    spread = yield from deviation(column)
    if is_time and spread is None:
        raise Uncomputable
    if not spread or math.isinf(spread):
        return 0
    condition = conditions.beyond_threshold(column, kwargs, mean=centre, deviation=spread)
    (count,) = yield (count_where(condition, column),)
    return count
