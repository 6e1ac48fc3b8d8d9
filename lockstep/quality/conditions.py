"""When a row does not fit an expectation, as SQL over its columns: the same for counting and for sampling.

Each condition says of a row what the expectation's own code for pandas says, and is false for rows that it passes over.
"""

import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.quality.asks import Uncomputable
from lockstep.quality.columns import Column, Kind

NUMERIC = frozenset({Kind.NUMBER, Kind.FLAG})
ESCAPE = "\\"


def literal(value: Any, *, single: bool = False) -> str:
    """Write a value of a suite as SQL."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value) if abs(value) < 2**63 else literal(float(value))
    if isinstance(value, float):
        text = "NaN" if math.isnan(value) else repr(value).replace("inf", "Infinity")
        return f"CAST('{text}' AS {'FLOAT' if single else 'DOUBLE'})"
    if isinstance(value, dt.datetime | dt.date):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'" if isinstance(value, dt.datetime) else f"TIMESTAMP '{value}'"
    parts = ["'" + part.replace("'", "''") + "'" for part in str(value).split(ESCAPE)]
    # Spark takes a backslash in a literal for an escape, DuckDB for itself; both join constants before they read rows.
    return parts[0] if len(parts) == 1 else f"concat({f', chr({ord(ESCAPE)}), '.join(parts)})"


def matches(column: Column, pattern: str) -> str:
    """Condition of a text that matches a pattern that all engines read alike (see `patterns`)."""
    return f"regexp_like({column.sql}, {literal(pattern)})"


def outside(column: Column, kwargs: Mapping[str, Any]) -> str:
    """Condition of a value beyond its bounds.

    Raises:
        Uncomputable: The values and the bounds are of different kinds.
    """
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    return _beyond(column, (low, high), strict=kwargs)


def within(low: Any, high: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether a smallest and a largest value are inside the bounds."""
    least, most = kwargs.get("min_value"), kwargs.get("max_value")
    above = least is None or (low > least if kwargs.get("strict_min") else low >= least)
    return bool(above and (most is None or (high < most if kwargs.get("strict_max") else high <= most)))


def _beyond(column: Column, bounds: tuple[Any, Any], *, strict: Mapping[str, Any]) -> str:
    low, high = bounds
    parts = []
    for bound, is_strict, sign in ((low, strict.get("strict_min"), "<"), (high, strict.get("strict_max"), ">")):
        if bound is not None:
            if not _comparable(column, bound):
                raise Uncomputable
            value = float(bound) if column.single and not isinstance(bound, dt.date) else bound
            parts.append(f"{column.number} {sign}{'=' if is_strict else ''} {literal(value, single=column.single)}")
    return f"({' OR '.join(parts)})"


def _comparable(column: Column, bound: Any) -> bool:
    if isinstance(bound, dt.date):
        return column.kind is Kind.TIME
    return column.kind in NUMERIC if isinstance(bound, int | float) else False


def not_member(column: Column, members: Sequence[Any]) -> str:
    """Condition of a value outside a set; a member of another kind is equal to none.

    Raises:
        Uncomputable: Times are compared with numbers.
    """
    if column.kind is Kind.TIME and not all(isinstance(value, str | dt.date) for value in members):
        raise Uncomputable
    return f"({column.sql} IS NOT NULL AND NOT {_member(column, members)})"


def forbidden_member(column: Column, members: Sequence[Any]) -> str:
    """Condition of a value inside a set.

    Raises:
        Uncomputable: Times are compared with what is no time.
    """
    odd = [value for value in members if isinstance(value, str | bool) and _time(value) is None]
    if column.kind is Kind.TIME and odd:
        raise Uncomputable
    return f"({column.sql} IS NOT NULL AND {_member(column, members)})"


def _member(column: Column, members: Sequence[Any]) -> str:
    found = [literal(value) for value in members_of(column, members)]
    sql = f"CAST({column.sql} AS DOUBLE)" if column.single else column.number
    return f"({sql} IN ({', '.join(found)}))" if found else "FALSE"


def members_of(column: Column, members: Sequence[Any]) -> list[Any]:
    """Return the members that values of the column may equal."""
    if column.kind in NUMERIC:
        return [value for value in members if isinstance(value, int | float)]
    if column.kind is Kind.TIME:
        return [value for value in map(_time, members) if value is not None]
    return [value for value in members if isinstance(value, str)] if column.kind is Kind.TEXT else []


def _time(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    try:
        return dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def wrong_length(column: Column, kwargs: Mapping[str, Any]) -> str:
    """Condition of a text that is too short or too long, in characters."""
    length = Column(column.name, Kind.NUMBER, f"length({column.sql})")
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if kwargs.get("value") is not None:
        low = high = kwargs["value"]
    return _beyond(length, (low, high), strict=kwargs)


def beyond_threshold(column: Column, kwargs: Mapping[str, Any], *, mean: float, deviation: float) -> str:
    """Condition of a z-score that is not below the threshold."""
    score = f"(({column.number}) - {literal(float(mean))}) / {literal(float(deviation))}"
    threshold = float(kwargs["threshold"])
    if kwargs.get("double_sided"):
        return f"(abs({score}) >= {literal(abs(threshold))})"
    return f"({score} >= {literal(threshold)})"


def unequal(first: Column, second: Column) -> str:
    """Condition of a pair that is not equal; a null is equal to nothing, and two nulls are passed over."""
    if not alike(first, second):
        return _either(first, second)
    return f"({_either(first, second)} AND ({_equal(first, second)}) IS NOT TRUE)"


def not_greater(first: Column, second: Column, *, or_equal: bool) -> str:
    """Condition of a pair whose first is not greater.

    Raises:
        Uncomputable: They are of different kinds.
    """
    if not alike(first, second) or first.kind is Kind.OTHER:
        raise Uncomputable
    sign = ">=" if or_equal else ">"
    return f"({_either(first, second)} AND ({_compared(first, sign, second)}) IS NOT TRUE)"


def repeats_within(columns: Sequence[Column]) -> str:
    """Condition of a row in which two of the columns are equal, or null and of like kinds; all null is passed over."""
    same = []
    for first, second in itertools.combinations(columns, 2):
        if alike(first, second):
            same.append(_equal(first, second))
        if _null(first) == _null(second):
            same.append(f"({first.sql} IS NULL AND {second.sql} IS NULL)")
    return f"({_any_known(columns)} AND ({' OR '.join(same) or 'FALSE'}))"


def other_sum(columns: Sequence[Column], total: float) -> str:
    """Condition of a row whose columns do not add up; a null has no sum, and all null is passed over.

    Raises:
        Uncomputable: They are not all numbers.
    """
    if not all(column.kind in NUMERIC for column in columns):
        raise Uncomputable
    added = " + ".join(map(_addend, columns))
    return f"({_any_known(columns)} AND (({added}) = {literal(total)}) IS NOT TRUE)"


def _addend(column: Column) -> str:
    """Return a number whose sum with others does not overflow."""
    return f"CAST({column.number} AS {'DECIMAL(20, 0)' if column.whole or column.kind is Kind.FLAG else 'DOUBLE'})"


def _equal(first: Column, second: Column) -> str:
    return _compared(first, "=", second)


def _compared(first: Column, sign: str, second: Column) -> str:
    """Compare numbers of different widths as doubles, as pandas does: floats of 32 bits hold few whole numbers."""
    if first.single == second.single or first.kind is Kind.TEXT:
        return f"{first.number} {sign} {second.number}"
    return f"CAST({first.number} AS DOUBLE) {sign} CAST({second.number} AS DOUBLE)"


def alike(first: Column, second: Column) -> bool:
    """Whether values of two columns may be equal."""
    return first.kind is second.kind or {first.kind, second.kind} <= NUMERIC


def some_known(columns: Sequence[Column]) -> str:
    """Condition of a row in which not all of the columns are null."""
    return _any_known(columns)


def _null(column: Column) -> str:
    """Return what a null of the column is in a data frame: those of different sorts are different values there."""
    return {Kind.NUMBER: "NaN", Kind.TIME: "NaT"}.get(column.kind, "None")


def _either(first: Column, second: Column) -> str:
    return _any_known((first, second))


def _any_known(columns: Sequence[Column]) -> str:
    return f"({' OR '.join(f'{column.sql} IS NOT NULL' for column in columns)})"
