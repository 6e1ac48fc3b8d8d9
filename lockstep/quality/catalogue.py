"""The expectations a check suite may use: a table, so that reading a suite does not load Great Expectations.

Each entry mirrors a Great Expectations class (a test compares them). Left out are those whose result is itself a
value of some row (most common value, distinct values), since no result may carry data, and those that need SQL.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, StrictBool, StrictFloat, StrictInt, StrictStr

Target = Literal["table", "column", "pair", "columns"]
Against = Literal["training", "previous", "keys"]
Distance = Literal["psi", "js", "ks"]

Number = StrictInt | StrictFloat
Day = Annotated[dt.date, Strict()]
Bound = Number | Annotated[dt.datetime, Strict()] | Day
Share = Annotated[float, Field(strict=True, gt=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Member = StrictBool | StrictInt | StrictFloat | StrictStr | Day

# Type of every keyword, unless an expectation says otherwise.
KEYWORDS: dict[str, Any] = {
    "min_value": Bound,
    "max_value": Bound,
    "strict_min": StrictBool,
    "strict_max": StrictBool,
    "mostly": Share,
    "value": Count,
    "value_set": Annotated[list[Member], Field(min_length=1)],
    "regex": StrictStr,
    "threshold": Annotated[float, Field(gt=0)],
    "double_sided": StrictBool,
    "or_equal": StrictBool,
    "sum_total": Number,
    "distance": Distance,
    "max_distance": Annotated[float, Field(gt=0)],
    "max_points": Annotated[float, Field(ge=0, le=100)],
    "max_change_percent": Annotated[float, Field(ge=0)],
}


@dataclass(frozen=True)
class Expectation:
    """What one expectation takes.

    Attributes:
        target: Whether it looks at the table, one column, a pair or several columns.
        optional: Keywords it may have.
        required: Keywords it must have.
        bounded: Whether it compares with `min_value` and `max_value`, of which one must be given.
        bounds: Type of these two.
        against: What a reference expectation compares the run with; none: it looks at the rows alone. One on `keys`
            looks at the rows too, the others at the profile that was taken while scoring.
    """

    target: Target
    optional: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    bounded: bool = False
    bounds: Any = Bound
    against: Against | None = None

    def keyword(self, name: str) -> Any:
        """Return the type of a keyword."""
        return self.bounds if name in {"min_value", "max_value"} else KEYWORDS[name]


def _values(*required: str) -> Expectation:
    return Expectation("column", optional=frozenset({"mostly"}), required=frozenset(required))


_BOUNDS = frozenset({"min_value", "max_value", "strict_min", "strict_max"})
_FIGURE = Expectation("column", optional=_BOUNDS, bounded=True)
_NUMBER = Expectation("column", optional=_BOUNDS, bounded=True, bounds=Number)
_BETWEEN = Expectation("column", optional=_BOUNDS | {"mostly"}, bounded=True)
_RECORD = Expectation("columns", optional=frozenset({"mostly"}))


def _near(against: Against, *required: str, distance: bool = False) -> Expectation:
    optional = frozenset({"distance"}) if distance else frozenset()
    return Expectation("column", optional=optional, required=frozenset(required), against=against)


EXPECTATIONS: dict[str, Expectation] = {
    "expect_table_row_count_to_be_between": Expectation("table", optional=_BOUNDS, bounded=True, bounds=Count),
    "expect_table_row_count_to_equal": Expectation("table", required=frozenset({"value"})),
    "expect_column_values_to_not_be_null": _values(),
    "expect_column_values_to_be_null": _values(),
    "expect_column_values_to_be_unique": _values(),
    "expect_column_values_to_be_between": _BETWEEN,
    "expect_column_values_to_be_in_set": _values("value_set"),
    "expect_column_values_to_not_be_in_set": _values("value_set"),
    "expect_column_values_to_match_regex": _values("regex"),
    "expect_column_values_to_not_match_regex": _values("regex"),
    "expect_column_value_lengths_to_be_between": Expectation(
        "column", optional=_BOUNDS | {"mostly"}, bounded=True, bounds=Count
    ),
    "expect_column_value_lengths_to_equal": _values("value"),
    "expect_column_value_z_scores_to_be_less_than": _values("threshold", "double_sided"),
    "expect_column_min_to_be_between": _FIGURE,
    "expect_column_max_to_be_between": _FIGURE,
    "expect_column_mean_to_be_between": _FIGURE,
    "expect_column_median_to_be_between": _FIGURE,
    "expect_column_stdev_to_be_between": _NUMBER,
    "expect_column_sum_to_be_between": _NUMBER,
    "expect_column_unique_value_count_to_be_between": Expectation(
        "column", optional=_BOUNDS, bounded=True, bounds=Count
    ),
    "expect_column_proportion_of_unique_values_to_be_between": _NUMBER,
    "expect_column_proportion_of_non_null_values_to_be_between": _NUMBER,
    "expect_column_pair_values_to_be_equal": Expectation("pair", optional=frozenset({"mostly"})),
    "expect_column_pair_values_a_to_be_greater_than_b": Expectation("pair", optional=frozenset({"mostly", "or_equal"})),
    "expect_compound_columns_to_be_unique": _RECORD,
    "expect_select_column_values_to_be_unique_within_record": _RECORD,
    "expect_multicolumn_sum_to_equal": Expectation(
        "columns", optional=frozenset({"mostly"}), required=frozenset({"sum_total"})
    ),
    # Of Lockstep: Great Expectations has no expectation that compares with another run. For the audit only.
    "expect_keys_to_be_unique": Expectation("table", against="keys"),
    "expect_keys_to_equal_input": Expectation("table", against="keys"),
    "expect_row_count_to_be_near_previous": Expectation(
        "table", required=frozenset({"max_change_percent"}), against="previous"
    ),
    "expect_scores_to_differ_from_previous": Expectation("table", against="previous"),
    "expect_column_distribution_to_be_near_previous": _near("previous", "max_distance", distance=True),
    "expect_column_distribution_to_be_near_training": _near("training", "max_distance", distance=True),
    "expect_column_nulls_to_be_near_previous": _near("previous", "max_points"),
    "expect_column_nulls_to_be_near_training": _near("training", "max_points"),
}
