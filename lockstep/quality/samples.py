"""Sample rows that a failed check did not fit: only where a spec asks for them, and without what it marks sensitive.

Samples are kept in `gate.json` or `audit.json` and shown in the report; no error, log or data docs page has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.quality import conditions
from lockstep.quality.asks import Uncomputable
from lockstep.quality.columns import Column, Kind
from lockstep.quality.measurement import Measurement
from lockstep.quality.metrics import deviation, mean, scored
from lockstep.quality.patterns import engine_pattern
from lockstep.quality.results import CheckResult, Sample
from lockstep.quality.suites import Check

MASKED = "•••"
LONGEST = 80


def with_samples(
    results: Sequence[CheckResult],
    checks: Sequence[Check],
    *,
    measured: Measurement,
    key: Sequence[str],
    sensitive: Sequence[str],
    rows: int,
) -> list[CheckResult]:
    """Add sample rows to the failed checks of rows.

    Args:
        results: Of a suite, in its order.
        checks: The suite's checks.
        measured: The rows, with the key among the columns.
        key: Columns that name a row.
        sensitive: Columns whose values are masked.
        rows: Most samples of each check; 0: none is looked for.
    """
    if not rows:
        return list(results)
    made = []
    for result, check in zip(results, checks, strict=True):
        failed = not result.success and result.unexpected_count
        sample = _sample(check, measured, key=key, sensitive=sensitive, rows=rows) if failed else None
        made.append(result if sample is None else result.model_copy(update={"sample": sample}))
    return made


def _sample(
    check: Check, measured: Measurement, *, key: Sequence[str], sensitive: Sequence[str], rows: int
) -> Sample | None:
    names = [name for name in dict.fromkeys([*key, *check.reads]) if name in measured.columns]
    condition = _condition(check, measured)
    if condition is None:
        return None
    found = measured.rows_where(condition, names=names, limit=rows)
    hidden = [_is_sensitive(name, sensitive) for name in names]
    shown = tuple(
        tuple(MASKED if mask else _text(value) for value, mask in zip(row, hidden, strict=True)) for row in found
    )
    return Sample(columns=tuple(names), rows=shown)


def _is_sensitive(name: str, sensitive: Sequence[str]) -> bool:
    """Whether a column is marked, or is a figure of one that is."""
    return name in sensitive or name.rpartition(".")[0] in sensitive


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _condition(check: Check, measured: Measurement) -> str | None:
    """Return SQL of the rows that do not fit, or none where SQL does not say it."""
    columns = [measured.columns[name] for name in check.reads]
    try:
        if check.expectation in _CONDITIONS:
            return str(_CONDITIONS[check.expectation](columns, check.kwargs))
        if check.expectation == "expect_column_value_z_scores_to_be_less_than":
            column = scored(columns[0])
            known = measured.answer({"mean": mean(column), "deviation": deviation(column)})
            return conditions.beyond_threshold(column, check.kwargs, **known)
    except Uncomputable:
        return None
    return None


def _repeats(columns: Sequence[Column], _: Mapping[str, Any]) -> str:
    listed = ", ".join(column.sql for column in columns)
    return f"({conditions.some_known(columns)} AND count(*) OVER (PARTITION BY {listed}) > 1)"


def _mismatch(columns: Sequence[Column], kwargs: Mapping[str, Any], *, when: bool) -> str:
    pattern = engine_pattern(kwargs["regex"]) if columns[0].kind is Kind.TEXT else None
    if pattern is None:
        raise Uncomputable
    return f"({'' if when else 'NOT '}{conditions.matches(columns[0], pattern)})"


def _length(columns: Sequence[Column], kwargs: Mapping[str, Any]) -> str:
    if columns[0].kind is not Kind.TEXT:
        raise Uncomputable
    return conditions.wrong_length(columns[0], kwargs)


_CONDITIONS: Mapping[str, Any] = {
    "expect_column_values_to_not_be_null": lambda columns, _: f"{columns[0].sql} IS NULL",
    "expect_column_values_to_be_null": lambda columns, _: f"{columns[0].sql} IS NOT NULL",
    "expect_column_values_to_be_between": lambda columns, kwargs: conditions.outside(columns[0], kwargs),
    "expect_column_values_to_be_in_set": lambda columns, kwargs: conditions.not_member(columns[0], kwargs["value_set"]),
    "expect_column_values_to_not_be_in_set": lambda columns, kwargs: conditions.forbidden_member(
        columns[0], kwargs["value_set"]
    ),
    "expect_column_values_to_match_regex": lambda columns, kwargs: _mismatch(columns, kwargs, when=False),
    "expect_column_values_to_not_match_regex": lambda columns, kwargs: _mismatch(columns, kwargs, when=True),
    "expect_column_value_lengths_to_be_between": _length,
    "expect_column_value_lengths_to_equal": _length,
    "expect_column_values_to_be_unique": _repeats,
    "expect_compound_columns_to_be_unique": _repeats,
    "expect_column_pair_values_to_be_equal": lambda columns, _: conditions.unequal(*columns),
    "expect_column_pair_values_a_to_be_greater_than_b": lambda columns, kwargs: conditions.not_greater(
        *columns, or_equal=bool(kwargs.get("or_equal"))
    ),
    "expect_select_column_values_to_be_unique_within_record": lambda columns, _: conditions.repeats_within(columns),
    "expect_multicolumn_sum_to_equal": lambda columns, kwargs: conditions.other_sum(columns, kwargs["sum_total"]),
}
