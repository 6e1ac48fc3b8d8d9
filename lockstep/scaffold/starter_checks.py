"""Starter checks from what one day looked like: what stops a run, what is only reported, and why."""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# Values that are listed: a column of few texts is a code, one of many is not.
MOST_VALUES = 20
CODE_SHARE = 0.05
SPREAD = 0.5
HEAD = 3


@dataclass(frozen=True)
class StarterCheck:
    """One expectation of a suite, as it is written.

    Attributes:
        expectation: Its name.
        why: What goes wrong when it does not hold.
        columns: What it looks at; none: the table.
        kwargs: Its bounds.
        warning: Whether a failure is only reported.
        comment: What was seen, and what to make of it.
    """

    expectation: str
    why: str
    columns: tuple[str, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    warning: bool = False
    comment: str = ""


def row_count(total: int, *, day: dt.date) -> StarterCheck:
    """Half to double of the rows of the day that was looked at."""
    return StarterCheck(
        "expect_table_row_count_to_be_between",
        "far fewer rows mean a partial load, far more a doubled one",
        kwargs={"min_value": total // 2, "max_value": total * 2},
        comment=f"{day} had {total:,} rows: half and double of it. Look at a few weeks, and make it tighter.",
    )


def key_checks(key: Sequence[str]) -> Iterator[StarterCheck]:
    """A key is whole, and names one row."""
    yield StarterCheck(
        "expect_column_values_to_not_be_null", "a row without its whole key cannot be found again", tuple(key)
    )
    yield from unique(key)


def unique(key: Sequence[str]) -> Iterator[StarterCheck]:
    """A key names one row."""
    if len(key) == 1:
        yield StarterCheck(
            "expect_column_values_to_be_unique", "two rows of one key leave readers to guess", tuple(key)
        )
    else:
        why = "two rows of one key leave readers to guess"
        yield StarterCheck("expect_compound_columns_to_be_unique", why, tuple(key))


def gate_checks(rows: pa.Table, columns: Sequence[str]) -> Iterator[StarterCheck]:
    """Checks of the columns that a model reads, from a sample.

    Args:
        rows: The sample.
        columns: What the model reads, as far as the table has it.
    """
    whole = [name for name in columns if not rows.column(name).null_count]
    if whole:
        yield StarterCheck(
            "expect_column_values_to_not_be_null",
            "a load that lost a column, or part of it",
            tuple(whole),
            kwargs={"mostly": 0.95},
            comment="None of these had a null. One in twenty stops the run.",
        )
    for name in columns:
        lacking = rows.column(name).null_count / rows.num_rows
        if 0 < lacking < 1:
            yield StarterCheck(
                "expect_column_values_to_not_be_null",
                "a load that lost a column, or part of it",
                (name,),
                kwargs={"mostly": max(round((1 - lacking) / 2, 3), 0.001)},
                comment=f"{lacking:.1%} were null; the run stops when half of the values that there were are missing.",
            )
    for name in columns:
        yield from _usual(name, rows.column(name), what="the model may know no others")


def audit_checks(name: str, scores: pa.ChunkedArray) -> Iterator[StarterCheck]:
    """Checks of one output, from the scores of the sample."""
    if pa.types.is_fixed_size_list(scores.type) or pa.types.is_list(scores.type):
        yield StarterCheck(
            "expect_column_values_to_not_be_null",
            "a vector with an element that is not finite belongs in quarantine",
            (f"{name}.norm",),
            comment=f"`{name}.norm` is the length of each vector, `{name}.max` its largest element (docs/checks.md).",
        )
        return
    yield StarterCheck("expect_column_values_to_not_be_null", "a row without a score belongs in quarantine", (name,))
    if not pa.types.is_floating(scores.type):
        yield from _classes(name, scores, what="a class that was never seen is a wrong model")
        return
    known = scores.filter(pc.is_finite(scores))
    if not len(known):
        return
    low, high = (float(value.as_py()) for value in pc.min_max(known).values())
    if 0 <= low <= high <= 1:
        yield StarterCheck(
            "expect_column_values_to_be_between",
            "a probability",
            (name,),
            kwargs={"min_value": 0, "max_value": 1},
            comment=f"Every score of the sample was between {low:.3g} and {high:.3g}. No probability? Remove it.",
        )
    else:
        yield from _usual(name, scores, what="a score this far out is a wrong model or a broken input")
    mean, spread = (float(f(known).as_py()) for f in (pc.mean, pc.stddev))
    if spread > 0:
        yield StarterCheck(
            "expect_column_stdev_to_be_between",
            "a model that gives every row the same score has lost its input",
            (name,),
            kwargs={"min_value": _rounded(spread / 20)},
            comment=f"The sample had {spread:.4g}; a twentieth of it is as good as constant.",
        )
        yield StarterCheck(
            "expect_column_mean_to_be_between",
            "the scores moved as a whole: a wrong model or a broken input",
            (name,),
            kwargs={"min_value": _rounded(mean - spread), "max_value": _rounded(mean + spread)},
            warning=True,
            comment=f"The mean was {mean:.4g}; one standard deviation to each side.",
        )


def _usual(name: str, column: pa.ChunkedArray, *, what: str) -> Iterator[StarterCheck]:
    """What a column usually holds: a warning, since a sample does not show everything."""
    kind, known = column.type, column.drop_null()
    if pa.types.is_dictionary(kind):
        known, kind = known.cast(kind.value_type), kind.value_type
    if not len(known):
        return
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from _classes(name, known, what=what)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if pa.types.is_floating(kind):
            known = known.filter(pc.is_finite(known))
        if not len(known):
            return
        low, high = (value.as_py() for value in pc.min_max(known).values())
        room = (high - low) * SPREAD or abs(high) or 1
        room = math.ceil(room) if pa.types.is_integer(kind) else room
        least = 0 if low >= 0 > low - room else _rounded(low - room)
        yield StarterCheck(
            "expect_column_values_to_be_between",
            "values far from all that were seen: another unit, or a broken source",
            (name,),
            kwargs={"min_value": least, "max_value": _rounded(high + room), "mostly": 0.99},
            warning=True,
            comment=f"The sample had {_shown(low)} to {_shown(high)}; half of that range to each side.",
        )


def _classes(name: str, column: pa.ChunkedArray, *, what: str) -> Iterator[StarterCheck]:
    """The values of a column that holds a few, again and again."""
    known = column.drop_null()
    if pa.types.is_temporal(column.type) or pa.types.is_binary(column.type):
        return  # no classes, and no values that a suite can list
    values = sorted(pc.unique(known).to_pylist())
    if 0 < len(values) <= min(MOST_VALUES, max(len(known) * CODE_SHARE, 2)):
        yield StarterCheck(
            "expect_column_values_to_be_in_set",
            what,
            (name,),
            kwargs={"value_set": values, "mostly": 0.99},
            warning=True,
            comment="All values of the sample.",
        )


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _rounded(value: float) -> float | int:
    """Round to what a person would write: three digits."""
    if isinstance(value, int):
        return value
    if value == 0 or not math.isfinite(value):
        return 0
    rounded = round(value, HEAD - 1 - math.floor(math.log10(abs(value))))
    return int(rounded) if rounded == int(rounded) else rounded
