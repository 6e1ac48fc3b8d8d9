"""Which question stands behind each metric that the expectations of the catalogue ask Great Expectations for."""

from collections.abc import Callable, Mapping
from typing import Any

from lockstep.quality import conditions
from lockstep.quality.asks import Question
from lockstep.quality.columns import Column
from lockstep.quality.metrics import (
    Kwargs,
    counted,
    deviation,
    distinct_count,
    extreme,
    known_count,
    known_proportion,
    mean,
    median,
    mismatches,
    null_count,
    out_of_bounds,
    outliers,
    repeated_records,
    repeated_values,
    row_count,
    total,
    unique_proportion,
    wrong_lengths,
)

AGGREGATES: dict[str, Callable[[Column], Question]] = {
    "column.min": extreme("min"),
    "column.max": extreme("max"),
    "column.mean": mean,
    "column.median": median,
    "column.standard_deviation": deviation,
    "column.sum": total,
    "column.distinct_values.count": distinct_count,
    "column.unique_proportion": unique_proportion,
    "column.non_null_proportion": known_proportion,
    "column_values.nonnull.unexpected_count": null_count,
    "column_values.null.unexpected_count": known_count,
    "column_values.unique.unexpected_count": repeated_values,
}
VALUES: dict[str, Callable[[Column, Kwargs], Question]] = {
    "column_values.between": out_of_bounds,
    "column_values.in_set": lambda column, kwargs: counted(conditions.not_member)(column, members=kwargs["value_set"]),
    "column_values.not_in_set": lambda column, kwargs: counted(conditions.forbidden_member)(
        column, members=kwargs["value_set"]
    ),
    "column_values.match_regex": lambda column, kwargs: mismatches(column, kwargs, when=False),
    "column_values.not_match_regex": lambda column, kwargs: mismatches(column, kwargs, when=True),
    "column_values.value_length.between": wrong_lengths,
    "column_values.value_length.equals": wrong_lengths,
    "column_values.z_score.under_threshold": outliers,
}
SEVERAL: dict[str, Callable[[tuple[Column, ...], Kwargs], Question]] = {
    "column_pair_values.equal": lambda columns, _: counted(conditions.unequal)(*columns),
    "column_pair_values.a_greater_than_b": lambda columns, kwargs: counted(conditions.not_greater)(
        *columns, or_equal=bool(kwargs.get("or_equal"))
    ),
    "compound_columns.unique": lambda columns, _: repeated_records(*columns),
    "select_column_values.unique.within_record": lambda columns, _: counted(
        lambda *some: conditions.repeats_within(some)
    )(*columns),
    "multicolumn_sum.equal": lambda columns, kwargs: counted(
        lambda *some: conditions.other_sum(some, kwargs["sum_total"])
    )(*columns),
}
UNEXPECTED, FILTERED = ".unexpected_count", ".filtered_row_count"
# What would hold values of rows, or say where they are, is asked for and never given.
WITHHELD: dict[str, Any] = {".unexpected_values": [], ".unexpected_index_list": None, ".unexpected_index_query": None}


def withheld(name: str) -> bool:
    """Whether a metric would hold values of rows."""
    return any(name.endswith(suffix) for suffix in WITHHELD)


def withheld_value(name: str) -> Any:
    """Return what is given instead of a metric that would hold values of rows."""
    return next(value for suffix, value in WITHHELD.items() if name.endswith(suffix))


def question_of(name: str, domain: Kwargs, kwargs: Kwargs, *, columns: Mapping[str, Column]) -> Question:
    """Return the question behind a metric.

    Args:
        name: Of the metric.
        domain: Which column, pair or list of columns it looks at.
        kwargs: Its other keywords.
        columns: All columns by name.

    Raises:
        KeyError: The metric is not known.
    """
    if name == "table.row_count":
        return row_count()
    if "column" in domain:
        column = columns[domain["column"]]
        if name in AGGREGATES:
            return AGGREGATES[name](column)
        return VALUES[name.removesuffix(UNEXPECTED)](column, kwargs)
    pair = (domain["column_A"], domain["column_B"]) if "column_A" in domain else domain["column_list"]
    several = tuple(columns[item] for item in pair)
    if name.endswith(FILTERED):
        return counted(lambda *some: conditions.some_known(some))(*several)
    return SEVERAL[name.removesuffix(UNEXPECTED)](several, kwargs)
