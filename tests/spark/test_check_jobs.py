"""Gate and audit as Spark jobs: what `lockstep step` decides, writes and tells is what it is in one process."""

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lockstep.errors import CheckFailed
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.spark_measuring import spark_engine
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, DRIFT, GATE
from lockstep.specs.settings import Settings
from lockstep.steps.audit import audit, check_staged
from lockstep.steps.gate import check_input, gate
from tests.unit.steps.runs import Score, km_risk, make_run, make_settings
from tests.unit.steps.test_audit import rewrite
from tests.unit.steps.test_audit_reference import day, make, publish_day


def settings_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose jobs run with this interpreter."""
    monkeypatch.setenv("LOCKSTEP_DATA_PYTHON", sys.executable)
    return make_settings(root)


def without_times(verdict: Verdict) -> Verdict:
    return verdict.model_copy(update={"checked_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "engine": "embedded"})


def refusals_told(root: Path) -> list[str]:
    with duckdb.connect(str(root / "warehouse.duckdb"), read_only=True) as ledger:
        found = ledger.execute("SELECT reason FROM lockstep_ledger WHERE outcome = 'refused'").fetchall()
    return [text for (text,) in found]


def test_the_steps_give_the_verdicts_of_one_process(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate passes; the audit fails, and the ledger is told once."""
    settings = settings_of(tmp_path, monkeypatch)
    limits = {"max_quarantined_fraction": 0.1, "checks_spark_rows": 1}
    folder = make_run(tmp_path, limits=limits, score=lambda batch: km_risk(batch) * 0 + 0.5)
    here = without_times(check_input(folder, EMBEDDED))
    folder.file(GATE).unlink()
    assert gate(folder, settings)["passed"]
    told = folder.read_record(GATE, Verdict, step="test")
    assert told.engine == "spark"
    assert without_times(told) == here
    assert gate(folder, settings)["reused"]

    expected = without_times(check_staged(folder, settings, EMBEDDED))
    drift = folder.file(DRIFT).read_bytes()
    for written in (AUDIT, DRIFT):
        folder.file(written).unlink()
    with pytest.raises(CheckFailed, match="expect_column_stdev_to_be_between on risk") as caught:
        audit(folder, settings)
    verdict = folder.read_record(AUDIT, Verdict, step="test")
    assert verdict.engine == "spark"
    assert without_times(verdict) == expected
    assert folder.file(DRIFT).read_bytes() == drift
    assert refusals_told(tmp_path) == [str(caught.value)]
    assert [timing["step"] for timing in folder.timings()] == ["gate", "audit"]
    for stage in ("gate", "audit"):
        assert folder.file("gx", stage, "index.html").is_file()
        assert folder.file("logs", f"{stage}.log").is_file()


def nan_for_some(batch: pa.RecordBatch) -> np.ndarray:
    return np.where(np.arange(batch.num_rows) == 3, np.nan, km_risk(batch))


def with_another_key(table: pa.Table) -> pa.Table:
    ids = table.column("id").to_numpy().copy()
    ids[0] = 1_000
    return table.set_column(table.column_names.index("id"), "id", pa.array(ids))


@pytest.mark.parametrize(
    ("rows", "score", "rewritten", "failed"),
    [
        (44, km_risk, None, set()),
        (40, km_risk, None, {"expect_scores_to_differ_from_previous"}),
        (44, nan_for_some, None, set()),
        (44, km_risk, with_another_key, {"expect_keys_to_equal_input"}),
        (80, km_risk, None, {"expect_row_count_to_be_near_previous"}),
    ],
    ids=["a like day", "a stale copy", "rows in quarantine", "a key of another row", "twice the rows"],
)
def test_reference_expectations_read_both_sides_with_spark(
    spark: SparkSession, tmp_path: Path, rows: int, score: Score, rewritten: Any, failed: set[str]
) -> None:
    settings = make_settings(tmp_path)
    publish_day(tmp_path, day(0))
    folder = make(tmp_path, day(1, rows=rows), score=score)
    if rewritten:
        rewrite(folder, rewritten)
    ours, theirs = (without_times(check_staged(folder, settings, engine)) for engine in (EMBEDDED, spark_engine(spark)))
    assert ours == theirs
    assert {result.name for result in theirs.results if not result.success} == failed
