"""Reference expectations: a run beside its training data, its input and what was published before."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from lockstep.errors import CheckFailed, SpecError
from lockstep.quality.results import CheckResult
from lockstep.quality.suites import check_suite_file
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, RunFolder
from lockstep.steps.audit import audit
from lockstep.steps.drift_references import earlier_publications
from lockstep.steps.publish import publish
from tests.unit.steps.runs import (
    DAY,
    Score,
    km_risk,
    make_model,
    make_settings,
    make_spec,
    parcels,
    plan_run,
    score_run,
)
from tests.unit.steps.test_audit import rewrite

pytestmark = pytest.mark.slow

CHECKS = {
    "expect_keys_to_be_unique": {},
    "expect_keys_to_equal_input": {},
    "expect_row_count_to_be_near_previous": {"kwargs": {"max_change_percent": 20}},
    "expect_scores_to_differ_from_previous": {},
    "expect_column_distribution_to_be_near_previous": {
        "column": "risk",
        "kwargs": {"max_distance": 0.3, "distance": "ks"},
    },
    "expect_column_distribution_to_be_near_training": {"columns": ["risk", "depot"], "kwargs": {"max_distance": 0.8}},
    "expect_column_nulls_to_be_near_previous": {"column": "km", "kwargs": {"max_points": 10}},
    "expect_column_nulls_to_be_near_training": {"column": "km", "kwargs": {"max_points": 10}},
}
SUITE = yaml.safe_dump({"expectations": [{"expectation": name, "why": "w", **facts} for name, facts in CHECKS.items()]})


def make(root: Path, table: pa.Table, *, baseline: bool = True, score: Score = km_risk) -> RunFolder:
    loaded = make_spec(root, limits={"max_quarantined_fraction": 0.1, "max_drift_psi": 100})
    suite = root / "models" / "parcels" / "checks" / "audit.yaml"
    suite.write_text(SUITE)
    model = make_model(root, loaded, version=1, training=parcels(500) if baseline else None, score=km_risk)
    folder = plan_run(root, table, loaded, model, data=f"data of {table.column('day')[0]}")
    score_run(folder, score)
    return folder


def day(number: int, *, rows: int = 40, shift: float = 1.0, **columns: pa.Array) -> pa.Table:
    km = pa.array([(shift * ((i * 37) % 100)) % 100 for i in range(rows)])
    return parcels(rows, day=DAY + dt.timedelta(days=number), **{"km": km, **columns})


def results(folder: RunFolder, root: Path) -> dict[str, CheckResult]:
    try:
        audit(folder, make_settings(root))
    except CheckFailed:
        pass
    found = folder.read_record(AUDIT, Verdict, step="test").results
    return {f"{result.name} {result.target}".strip(): result for result in found if result.kind == "expectation"}


def publish_day(root: Path, table: pa.Table) -> RunFolder:
    folder = make(root, table)
    audit(folder, make_settings(root))
    publish(folder, make_settings(root))
    return folder


def test_the_first_publication_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    found = results(make(tmp_path, day(0)), tmp_path)
    assert all(result.success for result in found.values())
    assert [r.name for r in found.values() if r.observed == "nothing published before"] == [
        "expect_row_count_to_be_near_previous",
        "expect_scores_to_differ_from_previous",
        "expect_column_distribution_to_be_near_previous",
        "expect_column_nulls_to_be_near_previous",
    ]
    assert found["expect_keys_to_equal_input"].observed == "40 keys, the same as the 40 to score"
    assert found["expect_column_distribution_to_be_near_training risk"].observed.startswith("PSI 0.")


def test_a_like_day_passes_and_is_told(tmp_path: Path) -> None:
    publish_day(tmp_path, day(0))
    folder = make(tmp_path, day(1, rows=44))
    found = results(folder, tmp_path)
    assert all(result.success for result in found.values())
    assert found["expect_row_count_to_be_near_previous"].observed == "44 rows, 10 % from the 40 of 2024-03-05"
    assert found["expect_scores_to_differ_from_previous"].observed == "other scores than 2024-03-05"
    assert found["expect_column_nulls_to_be_near_previous km"].observed == "0 % nulls, 0 % in 2024-03-05"
    docs = "".join(page.read_text() for page in folder.file("gx", "audit").rglob("*.html"))
    assert "44 rows, 10 % from the 40 of 2024-03-05" in docs
    assert "as many as in the previous publication" in docs


def test_another_day_fails_each(tmp_path: Path) -> None:
    publish_day(tmp_path, day(0))
    folder = make(tmp_path, day(1, rows=60, km=pa.array([None if i % 2 else 99.0 for i in range(60)])))
    failed = {name for name, result in results(folder, tmp_path).items() if not result.success}
    assert failed == {
        "expect_row_count_to_be_near_previous",
        "expect_column_distribution_to_be_near_previous risk",
        "expect_column_distribution_to_be_near_training risk",
        "expect_column_nulls_to_be_near_previous km",
        "expect_column_nulls_to_be_near_training km",
    }


@pytest.mark.parametrize("files", ["there", "gone"])
def test_a_stale_copy_is_found(tmp_path: Path, files: str) -> None:
    before = publish_day(tmp_path, day(0))
    if files == "gone":
        for unit in before.manifest(step="test").units:
            before.file(unit.staged).unlink()
    found = results(make(tmp_path, day(1)), tmp_path)["expect_scores_to_differ_from_previous"]
    assert not found.success
    assert "2024-03-05" in found.observed


def test_keys_that_are_not_of_the_input_are_found(tmp_path: Path) -> None:
    folder = make(tmp_path, day(0))

    def other(table: pa.Table) -> pa.Table:
        ids = table.column("id").to_numpy().copy()
        ids[0] = 1_000
        return table.set_column(table.column_names.index("id"), "id", pa.array(ids))

    rewrite(folder, other)
    found = results(folder, tmp_path)
    assert not found["expect_keys_to_equal_input"].success
    assert found["expect_keys_to_equal_input"].observed == "40 keys, not the same as the 40 to score"
    assert found["expect_keys_to_be_unique"].success


def test_quarantined_keys_are_not_missed(tmp_path: Path) -> None:
    def some_bad(batch: pa.RecordBatch) -> np.ndarray:
        return np.where(batch.column("km").to_numpy() % 10 == 7, np.nan, km_risk(batch))

    found = results(make(tmp_path, day(0), score=some_bad), tmp_path)
    assert found["expect_keys_to_equal_input"].observed == "36 keys, the same as the 36 to score"


def test_without_a_baseline_there_is_no_training_to_compare_with(tmp_path: Path) -> None:
    found = results(make(tmp_path, day(0), baseline=False), tmp_path)
    result = found["expect_column_nulls_to_be_near_training km"]
    assert (result.success, result.observed) == (True, "the model carries no baseline profile")


def test_the_previous_partition_is_the_one_before_this_one(tmp_path: Path) -> None:
    first, later = publish_day(tmp_path, day(0)), publish_day(tmp_path, day(5, shift=1.01))
    between = make(tmp_path, day(2))
    found = [
        [entry.run_key for entry in earlier_publications(run.plan(step="test"), wait_s=5)]
        for run in (between, first, later)
    ]
    assert found == [[first.path.name], [], [first.path.name]]


def test_reference_expectations_belong_to_the_audit(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(SUITE)
    with pytest.raises(SpecError, match="expect_keys_to_be_unique compares scores, so it belongs in the audit's suite"):
        check_suite_file(tmp_path / "gate.yaml", gate=True)
