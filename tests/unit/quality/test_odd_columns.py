"""Columns that an embedded engine easily reads otherwise than a data frame: widths, cases of names, times."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.quality.expectations import Decision
from lockstep.quality.measuring import measuring
from lockstep.quality.results import CheckResult
from lockstep.quality.rows import Rows, staged_rows
from lockstep.quality.samples import with_samples
from lockstep.quality.suites import Suite

DAYS = [dt.date(2024, 3, 1), dt.date(2024, 3, 2), dt.date(2024, 3, 3), dt.date(2030, 1, 1)]
COLUMNS = {
    "id": pa.array([1, 2, 3, 4]),
    "A": pa.array([1.0, 1.0, 1.0, 1.0]),
    "a": pa.array([5.0, 5.0, 7.0, 8.0]),
    "f": pa.array([16777216.0, 1.0, 2.0, 3.0], pa.float32()),
    "n": pa.array([16777217, 1, 2, 3]),
    "big": pa.array([2_000_000_000] * 4, pa.int32()),
    "half": pa.array([np.float16(0.5)] * 4, pa.float16()),
    "v": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(8.0)), 2),
    "day": pa.array(DAYS),
}


def result(path: Path, name: str, *needs: str, streamed: bool = False, **kwargs: Any) -> CheckResult:
    pq.write_table(
        pa.table({key: COLUMNS[key] for key in COLUMNS if key != "v" or "v.max" in needs}), path / "0.parquet"
    )
    target = {"columns": list(needs)} if len(needs) > 1 else {"column": needs[0]}
    check = {"expectation": f"expect_{name}", "kwargs": kwargs, "why": "w", **target}
    suite, whole = Suite.model_validate({"expectations": [check]}), staged_rows([path / "0.parquet"], where="x")
    rows = Rows(whole.schema, whole.where, whole.batches) if streamed else whole
    decision = Decision(suite)
    with measuring(rows, names=(*suite.needs, "id")) as measured:
        answers = measured.answer(decision.questions(measured.columns))
        found = decision.results(answers, name="x", docs=path / "docs", at=dt.datetime.now(dt.UTC))
        return with_samples(found, suite.checks, measured=measured, key=["id"], sensitive=[], rows=3)[0]


@pytest.mark.parametrize("streamed", [False, True])
def test_names_that_differ_by_case_are_two_columns(tmp_path: Path, streamed: bool) -> None:
    found = result(tmp_path, "column_median_to_be_between", "a", streamed=streamed, min_value=6, max_value=6)
    assert found.success
    found = result(tmp_path, "column_pair_values_to_be_equal", "A", "a", streamed=streamed)
    assert found.unexpected_count == 4


def test_widths_are_compared_as_doubles(tmp_path: Path) -> None:
    assert result(tmp_path, "column_pair_values_to_be_equal", "f", "n").unexpected_count == 1


def test_sums_of_a_row_do_not_overflow(tmp_path: Path) -> None:
    found = result(tmp_path, "multicolumn_sum_to_equal", "big", "id", sum_total=2_000_000_004)
    assert found.unexpected_count == 3


def test_halves_beside_a_figure_of_tensors(tmp_path: Path) -> None:
    assert result(tmp_path, "column_pair_values_a_to_be_greater_than_b", "v.max", "half").success


def test_a_figure_of_times_is_told(tmp_path: Path) -> None:
    found = result(tmp_path, "column_max_to_be_between", "day", max_value=DAYS[2])
    assert (found.success, found.observed) == (False, "2030-01-01 00:00:00")


def test_times_far_from_the_others_are_sampled(tmp_path: Path) -> None:
    found = result(tmp_path, "column_value_z_scores_to_be_less_than", "day", threshold=1.2, double_sided=True)
    assert found.sample is not None
    assert found.sample.rows == (("4", "2030-01-01 00:00:00"),)


@pytest.mark.parametrize("streamed", [False, True])
def test_repeated_rows_are_sampled_from_a_stream_too(tmp_path: Path, streamed: bool) -> None:
    found = result(tmp_path, "column_values_to_be_unique", "a", streamed=streamed)
    assert found.sample is not None
    assert found.sample.rows == (("1", "5.0"), ("2", "5.0"))
