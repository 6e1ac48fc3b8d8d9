"""Gate and audit as Spark jobs: what `lockstep step` decides, writes and tells is what it is in one process."""

import datetime as dt
import sys
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from lockstep.errors import CheckFailed
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.spark_measuring import spark_engine
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, DRIFT, GATE, RunFolder
from lockstep.specs.settings import Settings
from lockstep.steps.audit import audit, check_staged
from lockstep.steps.gate import check_input, gate
from lockstep.steps.publish import publish
from tests.unit.steps.runs import km_risk, make_run, make_settings
from tests.unit.steps.test_audit_reference import day, make


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


@pytest.fixture
def two_days(tmp_path: Path) -> RunFolder:
    """A run after the publication of the day before."""
    before = make(tmp_path, day(0))
    audit(before, make_settings(tmp_path))
    publish(before, make_settings(tmp_path))
    return make(tmp_path, day(1, rows=44))


def test_reference_expectations_read_both_sides_with_spark(
    spark: SparkSession, two_days: RunFolder, tmp_path: Path
) -> None:
    settings = make_settings(tmp_path)
    ours, theirs = (
        without_times(check_staged(two_days, settings, engine)) for engine in (EMBEDDED, spark_engine(spark))
    )
    assert ours == theirs
    assert ours.passed
    said = {result.name: result.observed for result in theirs.results}
    assert said["expect_keys_to_equal_input"] == "44 keys, the same as the 44 to score"
