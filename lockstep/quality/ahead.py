"""What a suite is sure to ask, known before Great Expectations is loaded to say so.

The same questions are asked again later, and their answers are there: what takes time is measured meanwhile. What is
not guessed here is measured then.
"""

from collections.abc import Callable, Mapping, Sequence

from lockstep.quality.asks import Question
from lockstep.quality.columns import Column, Kind
from lockstep.quality.metrics import deviation, distinct_count, known_count, repeated_records, repeated_values
from lockstep.quality.suites import Check

HEAVY: dict[str, Callable[..., Question]] = {
    "expect_column_unique_value_count_to_be_between": distinct_count,
    "expect_column_proportion_of_unique_values_to_be_between": distinct_count,
    "expect_column_values_to_be_unique": repeated_values,
    "expect_compound_columns_to_be_unique": repeated_records,
}


def questions_ahead(checks: Sequence[Check], columns: Mapping[str, Column]) -> dict[tuple[str, ...], Question]:
    """Return questions that the checks of a suite will ask again.

    Args:
        checks: Of the suite.
        columns: Columns and figures by name; at least those that the suite needs.
    """
    asked: dict[tuple[str, ...], Question] = {}
    for check in checks:
        if check.rule.against is not None:
            continue
        looked = [columns[name] for name in check.needs]
        if check.expectation in HEAVY:
            asked[check.expectation, *check.needs] = HEAVY[check.expectation](*looked)
        numbers = [column for column in looked if column.kind is Kind.NUMBER]
        asked |= {("moments", column.name): deviation(column) for column in numbers}
        asked |= {("known", column.name): known_count(column) for column in numbers}
    return asked
