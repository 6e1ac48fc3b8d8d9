import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import CheckFailed
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, MANIFEST, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.steps.audit import audit
from tests.unit.steps.runs import km_risk, make_model, make_run, make_settings, make_spec, parcels, plan_run, score_run

pytestmark = pytest.mark.slow


def failures(folder: RunFolder, root: Path) -> tuple[str, ...]:
    with pytest.raises(CheckFailed) as caught:
        audit(folder, make_settings(root))
    verdict = folder.read_record(AUDIT, Verdict, step="test")
    assert not verdict.passed
    assert "audit of partition 2024-03-05 failed; nothing was published" in str(caught.value)
    return caught.value.failures


def rewrite(folder: RunFolder, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the first staged file and its manifest entry, as a scorer with a fault would have written them."""
    manifest = json.loads(folder.file(MANIFEST).read_text())
    unit = manifest["units"][0]
    path = folder.file(unit["staged"])
    pq.write_table(change(pq.read_table(path)), path)
    unit |= {"size_bytes": path.stat().st_size, "sha256": file_sha256(path)}
    folder.write_json(MANIFEST, manifest)


def constant(table: pa.Table, column: str, value: Any) -> pa.Table:
    index = table.column_names.index(column)
    return table.set_column(index, column, pa.array([value] * table.num_rows, table.schema.field(column).type))


def test_a_good_run_passes_once_and_is_measured(tmp_path: Path) -> None:
    folder, settings = make_run(tmp_path), make_settings(tmp_path)
    first, again = audit(folder, settings), audit(folder, settings)
    assert (first["passed"], first["rows"], first["reused"]) == (True, 40, False)
    assert again == {**first, "reused": True}
    verdict = folder.read_record(AUDIT, Verdict, step="test")
    assert verdict.manifest_sha256 == file_sha256(folder.file(MANIFEST))
    assert {d.column for d in verdict.drift} == {"depot", "km", "risk"}
    assert verdict.score is not None
    assert sum(verdict.score.shares) == pytest.approx(1)
    assert sum(verdict.score.baseline or ()) == pytest.approx(1)
    assert [r.name for r in verdict.results if r.kind == "invariant"] == [
        "every_unit_is_accepted_once",
        "rows_balance_per_unit",
        "rows_balance_in_total",
        "staged_files_are_unchanged",
        "staged_columns_are_the_tables",
        "staged_rows_equal_the_manifest",
        "every_row_names_this_model_and_run",
        "only_this_partition",
        "keys_are_unique",
    ]
    assert folder.file("gx", "audit", "index.html").is_file()


def test_a_new_manifest_is_audited_again(tmp_path: Path) -> None:
    folder, settings = make_run(tmp_path), make_settings(tmp_path)
    audit(folder, settings)
    rewrite(folder, lambda table: table)
    assert audit(folder, settings)["reused"] is False


def test_constant_scores_fail(tmp_path: Path) -> None:
    found = failures(make_run(tmp_path, score=lambda batch: np.full(batch.num_rows, 0.5)), tmp_path)
    assert found[0].startswith("limits.max_drift_psi on risk: got PSI")
    assert found[1].startswith("expect_column_stdev_to_be_between on risk: got 0, expected at least 0.01")


def test_rows_without_a_score_fail_above_the_limit_with_their_reasons(tmp_path: Path) -> None:
    def score(batch: pa.RecordBatch) -> np.ndarray:
        return np.where(np.arange(batch.num_rows) < 10, np.nan, km_risk(batch))

    found = failures(make_run(tmp_path, score=score), tmp_path)
    assert found[0].startswith(
        "limits.max_quarantined_fraction: got 20 of 40 rows (50 %): "
        "not_finite: the model returned a value that is not finite: 20, expected at most 10 % of rows"
    )


def test_all_rows_in_quarantine_is_a_failure_not_a_crash(tmp_path: Path) -> None:
    folder = make_run(tmp_path, score=lambda batch: np.full(batch.num_rows, np.nan))
    assert any("got 40 of 40 rows (100 %)" in line for line in failures(folder, tmp_path))


DAMAGES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "other model": (lambda t: constant(t, "model_version", 9), "every_row_names_this_model_and_run"),
    "other digest": (lambda t: constant(t, "model_digest", "x"), "every_row_names_this_model_and_run"),
    "other run": (lambda t: constant(t, "run_key", "x"), "every_row_names_this_model_and_run"),
    "no time": (lambda t: constant(t, "scored_at", None), "20 rows without a time"),
    "other day": (lambda t: constant(t, "day", dt.date(2024, 3, 6)), "only_this_partition on day: got 2024-03-0"),
    "twice": (lambda t: constant(t, "id", 1), "keys_are_unique on day, id: got 1 repeated keys"),
    "a row less": (lambda t: t.slice(1), "staged_rows_equal_the_manifest"),
    "a column less": (lambda t: t.drop_columns(["depot"]), "staged_columns_are_the_tables"),
    "out of range": (lambda t: constant(t, "risk", 1.5), "expect_column_values_to_be_between on risk: got 20 of 40"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_fault_of_the_scorer_is_found(tmp_path: Path, damage: str) -> None:
    change, text = DAMAGES[damage]
    folder = make_run(tmp_path)
    rewrite(folder, change)
    assert any(text in line for line in failures(folder, tmp_path))


@pytest.mark.parametrize("damage", ["cut", "gone", "same size"])
def test_a_changed_file_is_found(tmp_path: Path, damage: str) -> None:
    folder = make_run(tmp_path)
    path = folder.file(folder.manifest(step="test").units[1].staged)
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data if damage == "same size" else data[:-4])
    if damage == "gone":
        path.unlink()
    (line,) = failures(folder, tmp_path)
    assert line.startswith("staged_files_are_unchanged: got ")
    assert path.name in line


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rows_in": 21}, "rows_balance_per_unit"),
        ({"rows_quarantined": 3}, "rows_balance_in_total"),
        ({"unit": "u99999"}, "every_unit_is_accepted_once: got 2 accepted; differing: u00000; u99999"),
    ],
)
def test_rows_that_do_not_add_up_are_found(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    folder = make_run(tmp_path)
    manifest = json.loads(folder.file(MANIFEST).read_text())
    manifest["units"][0] |= change
    folder.write_json(MANIFEST, manifest)
    assert any(text in line for line in failures(folder, tmp_path))


def test_a_model_without_baseline_is_audited_without_drift(tmp_path: Path) -> None:
    loaded = make_spec(tmp_path)
    model = make_model(tmp_path, loaded, version=1, training=None, score=km_risk)
    folder = plan_run(tmp_path, parcels(), loaded, model)
    score_run(folder)
    assert audit(folder, make_settings(tmp_path))["passed"]
    stored = json.loads(folder.file(AUDIT).read_text())
    assert stored["drift"] == []
    assert stored["score"]["baseline"] is None


def test_an_empty_partition_passes_when_the_spec_allows_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path, table=parcels(0), limits={"min_rows": 0})
    assert audit(folder, make_settings(tmp_path))["rows"] == 0
