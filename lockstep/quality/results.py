"""What a check found: one record for suites, invariants and limits alike.

Never a value of a row, but for the samples that a spec asks for.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Literal

from lockstep.quality.suites import Check, Severity
from lockstep.run.plan import Record

Kind = Literal["expectation", "invariant", "limit"]
SHOWN_MEMBERS = 12

# What expectations without a bound expect.
_PLAIN = {
    "expect_column_values_to_not_be_null": "no nulls",
    "expect_column_values_to_be_null": "nulls only",
    "expect_column_values_to_be_unique": "no value twice",
    "expect_compound_columns_to_be_unique": "no combination twice",
    "expect_column_pair_values_to_be_equal": "equal values",
    "expect_keys_to_be_unique": "each key once",
    "expect_keys_to_equal_input": "the keys of the input that were not quarantined, and no other",
    "expect_scores_to_differ_from_previous": "other scores than those of the previous publication",
    "expect_select_column_values_to_be_unique_within_record": "different values in each row",
}


class Sample(Record):
    """Some rows that a check did not fit, where the spec asks for them.

    Attributes:
        columns: Key columns and checked columns.
        rows: Their values as text; those of sensitive columns are masked.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


class CheckResult(Record):
    """The outcome of one check.

    Attributes:
        kind: Expectation of a suite, invariant of the run, or limit of the spec.
        name: Name of the expectation, invariant or limit.
        target: Column or columns, empty for the table.
        observed: The figure, as text.
        expected: The bound, as text.
        unexpected_count: Rows that do not fit, where the check counts rows.
        unexpected_percent: The same as a share of the rows it looked at, 0..100.
        sample: Some of these rows; never part of a message.
    """

    kind: Kind
    name: str
    target: str = ""
    severity: Severity = "critical"
    success: bool
    observed: str
    expected: str
    unexpected_count: int | None = None
    unexpected_percent: float | None = None
    why: str = ""
    sample: Sample | None = None

    def line(self) -> str:
        """Return one line for a person: which check, on what, with which figure, and why it matters."""
        on = f" on {self.target}" if self.target else ""
        why = f" ({self.why.strip()})" if self.why else ""
        return f"{self.name}{on}: got {self.observed}, expected {self.expected}{why}"


def critical_failures(results: Iterable[CheckResult]) -> list[str]:
    """Return the lines of the failures that stop a run."""
    return [result.line() for result in results if not result.success and result.severity == "critical"]


def warnings_of(results: Iterable[CheckResult]) -> list[str]:
    """Return the lines of the failures that are only reported."""
    return [result.line() for result in results if not result.success and result.severity == "warning"]


def figure(value: Any) -> str:
    """Write a number or a time for a person: integers whole, others to six significant digits; no other value."""
    if value is None:
        return "nothing (no value to compute it from)"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bool | str | list | dict):
        return "not shown"
    number = float(value)
    return f"{int(number):,}" if number.is_integer() and abs(number) < 1e15 else f"{number:.6g}"


def percent(share: float) -> str:
    """Write a share of 0..1 as a percentage."""
    return f"{100 * share:.4g} %"


def expected_text(check: Check) -> str:
    """Say what a check of a suite expects."""
    kwargs = check.kwargs
    parts = [_bounds(kwargs), *_members(check.expectation, kwargs), *_others(kwargs)]
    text = _PLAIN.get(check.expectation) or " ".join(part for part in parts if part)
    text = text or check.expectation.removeprefix("expect_").replace("_", " ")
    if kwargs.get("mostly", 1) < 1:
        text += f" in at least {percent(kwargs['mostly'])} of rows"
    return text


def _bounds(kwargs: dict[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    more, less = (
        ("more than" if kwargs.get("strict_min") else "at least"),
        ("less than" if kwargs.get("strict_max") else "at most"),
    )
    if low is not None and high is not None:
        plain = not kwargs.get("strict_min") and not kwargs.get("strict_max")
        return f"between {low} and {high}" if plain else f"{more} {low} and {less} {high}"
    if low is not None:
        return f"{more} {low}"
    return f"{less} {high}" if high is not None else ""


def _members(name: str, kwargs: dict[str, Any]) -> list[str]:
    members = [str(member) for member in kwargs.get("value_set", [])]
    if not members:
        return []
    rest = f" and {len(members) - SHOWN_MEMBERS} more" if len(members) > SHOWN_MEMBERS else ""
    word = "none" if "not" in name else "one"
    return [f"{word} of {', '.join(members[:SHOWN_MEMBERS])}{rest}"]


def _others(kwargs: dict[str, Any]) -> list[str]:
    words = {
        "value": "exactly {}",
        "regex": "the pattern {}",
        "threshold": "a z-score below {}",
        "sum_total": "a sum of {}",
        "max_distance": "at most {}",
        "max_points": "at most {} points apart",
        "max_change_percent": "at most {} % more or fewer",
    }
    return [text.format(kwargs[key]) for key, text in words.items() if key in kwargs]
