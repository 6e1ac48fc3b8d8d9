"""What is asked ahead is what the expectations ask."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.quality import measuring as measuring_module
from lockstep.quality.ahead import questions_ahead
from lockstep.quality.expectations import Decision
from lockstep.quality.measuring import measuring
from lockstep.quality.rows import staged_rows
from lockstep.quality.suites import Suite

CHECKS = [
    {"expectation": "expect_column_unique_value_count_to_be_between", "column": "x", "kwargs": {"min_value": 1}},
    {
        "expectation": "expect_column_proportion_of_unique_values_to_be_between",
        "column": "x",
        "kwargs": {"min_value": 0},
    },
    {"expectation": "expect_column_values_to_be_unique", "column": "name"},
    {"expectation": "expect_compound_columns_to_be_unique", "columns": ["x", "name"]},
    {"expectation": "expect_column_stdev_to_be_between", "column": "x", "kwargs": {"min_value": 0}},
    {"expectation": "expect_column_values_to_not_be_null", "column": "x"},
    {"expectation": "expect_column_mean_to_be_between", "column": "y", "kwargs": {"min_value": 0}},
]


def test_the_answers_are_there_when_the_expectations_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"x": [1.0, 2.0, None], "y": [1, 2, 3], "name": ["a", "b", "b"]})
    pq.write_table(table, tmp_path / "0.parquet")
    suite = Suite.model_validate({"expectations": [check | {"why": "it is measured"} for check in CHECKS]})
    with measuring(staged_rows([tmp_path / "0.parquet"], where="x"), names=suite.needs) as measured:
        measured.answer(questions_ahead(suite.checks, measured.columns))
        decision = Decision(suite)
        monkeypatch.setattr(measured, "_exact", None)
        monkeypatch.setattr(measuring_module, "read_numbers", None)
        answers = measured.answer(decision.questions(measured.columns))
    results = decision.results(answers, name="x", docs=tmp_path / "docs", at=dt.datetime(2024, 3, 5, tzinfo=dt.UTC))
    assert [result.success for result in results] == [True, True, False, True, True, False, True]
