import datetime as dt
from pathlib import Path

import pytest

from lockstep.errors import SpecError
from lockstep.quality.catalogue import EXPECTATIONS, KEYWORDS
from lockstep.quality.suites import check_suite_file, load_suite

GOOD = """\
description: all kinds of targets
expectations:
  - {expectation: expect_table_row_count_to_be_between, kwargs: {min_value: 1}, why: rows}
  - expectation: expect_column_values_to_be_between
    columns: [a, b]
    kwargs: {min_value: 2024-01-01, mostly: 0.5}
    severity: warning
    why: days
  - {expectation: expect_compound_columns_to_be_unique, columns: [a, b], why: key}
  - {expectation: expect_column_pair_values_to_be_equal, columns: [a, c], why: pair}
"""


MEAN = "    expectation: expect_column_mean_to_be_between\n    column: a"
COMPOUND = "    expectation: expect_compound_columns_to_be_unique"


def write(path: Path, text: str) -> Path:
    file = path / "suite.yaml"
    file.write_text(text)
    return file


def problems(path: Path, check: str) -> list[str]:
    file = write(path, f"expectations:\n  - why: it matters\n{check}")
    with pytest.raises(SpecError) as caught:
        check_suite_file(file)
    assert str(file) in str(caught.value)
    return list(caught.value.problems)


def test_a_suite_is_read_in_order(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD))
    assert [(c.expectation.removeprefix("expect_"), c.needs, c.severity) for c in suite.checks] == [
        ("table_row_count_to_be_between", (), "critical"),
        ("column_values_to_be_between", ("a",), "warning"),
        ("column_values_to_be_between", ("b",), "warning"),
        ("compound_columns_to_be_unique", ("a", "b"), "critical"),
        ("column_pair_values_to_be_equal", ("a", "c"), "critical"),
    ]
    assert suite.needs == ("a", "b", "c")
    assert suite.checks[1].kwargs["min_value"] == dt.date(2024, 1, 1)


WRONG_CHECKS = [
    ("    expectation: expect_column_value_to_be_between", 3, "did you mean expect_column_values_to_be_between"),
    ("    expectation: foo", 3, "unknown expectation 'foo'; known ones: expect_table_row_count_to_be_between"),
    (
        "    expectation: expect_column_values_to_be_null\n    column: a\n    kwarg: {}",
        5,
        "unknown key; known keys here: column",
    ),
    (
        "    expectation: expect_table_row_count_to_equal\n    kwargs: {values: 1}",
        4,
        "unknown kwarg 'values'; it takes: value; kwarg 'value' is required",
    ),
    (
        "    expectation: expect_table_row_count_to_equal\n    kwargs: {value: -1}",
        4,
        "kwarg 'value': Input should be greater",
    ),
    (
        "    expectation: expect_column_values_to_not_be_null\n    column: a\n    kwargs: {mostly: 95}",
        5,
        "kwarg 'mostly': Input should be less than or equal to 1",
    ),
    (
        MEAN + "\n    kwargs: {min_value: '1'}",
        5,
        "kwarg 'min_value'",
    ),
    (
        MEAN + "\n    kwargs: {min_value: 2, max_value: 1}",
        5,
        "min_value 2 is above max_value 1",
    ),
    (
        MEAN + "\n    kwargs: {min_value: 2024-01-01, max_value: 1}",
        5,
        "of different types",
    ),
    (MEAN, 2, "without them it checks nothing"),
    ("    expectation: expect_column_values_to_not_be_null", 2, "takes 'column', or 'columns' to check one by one"),
    ("    expectation: expect_table_row_count_to_equal\n    kwargs: {value: 1}\n    column: a", 2, "takes neither"),
    (
        COMPOUND + "\n    columns: [a]",
        2,
        "takes 'columns' with two names or more",
    ),
    (COMPOUND + "\n    columns: [a, a]", 2, "names a column twice"),
    (
        "    expectation: expect_column_pair_values_to_be_equal\n    columns: [a, b, c]",
        2,
        "takes 'columns' with two names",
    ),
    (
        "    expectation: expect_column_values_to_not_be_null\n    column: a\n    severity: grave",
        5,
        "Input should be 'critical' or 'warning'",
    ),
    (
        "    expectation: expect_column_values_to_be_in_set\n    column: a\n    kwargs: {value_set: []}",
        5,
        "kwarg 'value_set'",
    ),
    (
        "    expectation: expect_column_values_to_not_be_null\n    column: a\n    column: b",
        5,
        "key 'column' is given twice",
    ),
]


@pytest.mark.parametrize(("check", "line", "text"), WRONG_CHECKS)
def test_a_wrong_check_names_line_and_key(tmp_path: Path, check: str, line: int, text: str) -> None:
    found = problems(tmp_path, check)
    assert len(found) == 1
    assert found[0].startswith(f"line {line}")
    assert text in found[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("expectations: []", "key expectations: must list at least one check"),
        ("- a list", "expected a mapping of keys, got list"),
        ("expectations: [{expectation: foo}", "not valid YAML"),
        ("description: nothing", "key expectations: required key is missing"),
        ("expectations: [{expectation: expect_column_values_to_be_unique, column: a}]", "why: required key is missing"),
    ],
)
def test_a_wrong_file_is_a_spec_error(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem.replace("(", r"\(")):
        check_suite_file(write(tmp_path, text))


def test_a_missing_file_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="file does not exist"):
        check_suite_file(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["gate", "audit"])
def test_the_suites_of_flight_delay_are_valid(name: str) -> None:
    check_suite_file(Path("models/flight_delay/checks") / f"{name}.yaml")


@pytest.mark.slow
def test_the_catalogue_mirrors_great_expectations() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations.expectations as gxe

        from lockstep.quality import reference_expectations

    targets = {"table": set(), "column": {"column"}, "pair": {"column_A", "column_B"}, "columns": {"column_list"}}
    for name, rule in EXPECTATIONS.items():
        module = reference_expectations if rule.against else gxe
        fields = getattr(module, "".join(word.capitalize() for word in name.split("_"))).__fields__
        takes = set(fields)
        needs = {key for key, field in fields.items() if field.required}
        assert rule.optional | rule.required | targets[rule.target] <= takes, name
        assert needs <= rule.required | targets[rule.target], name
        assert rule.optional | rule.required <= KEYWORDS.keys()
