import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import CheckFailed, PublishError, StaleRun, StepOutOfOrder
from lockstep.run.folder import PUBLICATION
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.steps.audit import audit
from lockstep.steps.publish import publish
from tests.unit.steps.runs import km_risk, make_run, make_settings, pass_audit, renew_claim


def table(root: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(make_settings(root).warehouse("duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_publishing_twice_is_publishing_once(tmp_path: Path) -> None:
    folder, settings = pass_audit(make_run(tmp_path)), make_settings(tmp_path)
    first, again = publish(folder, settings), publish(folder, settings)
    assert first == {
        "table": "parcel_scores",
        "rows": 40,
        "replaced_rows": 0,
        "outcome": "published",
        "token": 1,
        "changes": [],
        "reporting": {"by_depot": 2},
        "newest_live": folder.plan(step="publish").partition.isoformat(),
        "reused": False,
    }
    assert again == {**first, "outcome": "noop", "reused": True}
    assert table(tmp_path, "SELECT count(*), count(DISTINCT id) FROM parcel_scores") == [(40, 40)]
    assert table(tmp_path, "SELECT outcome FROM lockstep_ledger ORDER BY entry") == [("published",), ("noop",)]
    assert table(tmp_path, "SELECT depot, parcels, late FROM by_depot ORDER BY 1") == [("N", 26, None), ("S", 14, None)]


def test_a_crash_after_the_commit_is_healed_by_the_next_run(tmp_path: Path) -> None:
    folder, settings = pass_audit(make_run(tmp_path)), make_settings(tmp_path)
    publish(folder, settings)
    published_at = json.loads(folder.file(PUBLICATION).read_text())["published_at"]
    folder.file(PUBLICATION).unlink()
    publish(folder, settings)
    healed = json.loads(folder.file(PUBLICATION).read_text())
    assert (healed["outcome"], healed["rows"], healed["published_at"]) == ("noop", 40, published_at)


def test_outcomes_are_read_from_the_source_table(tmp_path: Path) -> None:
    folder, settings = pass_audit(make_run(tmp_path)), make_settings(tmp_path)
    day = settings.data_root / "parcels" / "day=2024-03-05"
    day.mkdir(parents=True)
    pq.write_table(pa.table({"id": pa.array(range(40)), "late": [i % 2 == 0 for i in range(40)]}), day / "0.parquet")
    for _ in range(2):
        publish(folder, settings)
    assert table(tmp_path, "SELECT sum(parcels * late) FROM by_depot") == [(20.0,)]


@pytest.mark.parametrize(
    "changes", [{"passed": False}, {"run_key": "another"}, {"manifest_sha256": "another"}, {"stage": "unknown"}]
)
def test_it_refuses_what_was_not_audited(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = pass_audit(make_run(tmp_path), **changes)
    for _ in range(2):
        with pytest.raises(StepOutOfOrder):
            publish(folder, make_settings(tmp_path))
    assert table(tmp_path, "SELECT count(*) FROM lockstep_ledger") == [(0,)]
    assert not folder.has(PUBLICATION)


def test_it_needs_an_audit(tmp_path: Path) -> None:
    with pytest.raises(StepOutOfOrder, match=r"needs audit\.json"):
        publish(make_run(tmp_path), make_settings(tmp_path))


def test_the_newer_model_stays(tmp_path: Path) -> None:
    old, new = (pass_audit(make_run(tmp_path, version=version)) for version in (1, 2))
    settings = make_settings(tmp_path)
    assert publish(new, settings)["token"] == 2
    with pytest.raises(StaleRun, match="plan it again"):
        publish(old, settings)
    assert table(tmp_path, "SELECT DISTINCT model_version FROM parcel_scores") == [(2,)]
    renew_claim(old)
    assert publish(old, settings)["replaced_rows"] == 40
    assert table(tmp_path, "SELECT DISTINCT model_version FROM parcel_scores") == [(1,)]
    lineage = table(tmp_path, "SELECT model_version, publications, noops FROM model_lineage")
    assert lineage == [(1, 2, 0)]


def test_a_wrong_reporting_query_publishes_nothing_and_is_an_entry_of_the_ledger(tmp_path: Path) -> None:
    folder, settings = pass_audit(make_run(tmp_path)), make_settings(tmp_path)
    folder.file("spec", "reporting", "by_depot.sql").write_text("SELECT nothing")
    for _ in range(2):
        with pytest.raises(PublishError, match="Nothing was changed"):
            publish(folder, settings)
    assert not folder.has(PUBLICATION)
    entries = table(tmp_path, "SELECT outcome, reason LIKE '%by_depot.sql failed%', actor FROM lockstep_ledger")
    assert entries == [("refused", True, "tester")] * 2


def test_rows_without_a_score_are_published_with_their_reason_when_the_spec_asks_for_it(tmp_path: Path) -> None:
    def score(batch: pa.RecordBatch) -> np.ndarray:
        return np.where(batch.column("km").to_numpy() == 37, np.nan, km_risk(batch))

    folder = make_run(tmp_path, score=score, output={"column": "risk", "errors": "error"})
    settings = make_settings(tmp_path)
    audit(folder, settings)
    assert publish(folder, settings)["rows"] == 40
    assert publish(folder, settings)["outcome"] == "noop"
    assert table(tmp_path, "SELECT count(*), count(risk), count(error) FROM parcel_scores") == [(40, 39, 1)]
    assert table(tmp_path, "SELECT id, error FROM parcel_scores WHERE risk IS NULL") == [(1, NOT_FINITE)]


def test_a_failed_check_is_an_entry_of_the_ledger(tmp_path: Path) -> None:
    folder, settings = make_run(tmp_path, score=lambda batch: np.full(batch.num_rows, 0.5)), make_settings(tmp_path)
    with pytest.raises(CheckFailed):
        audit(folder, settings)
    ((outcome, reason, rows, checks),) = table(tmp_path, "SELECT outcome, reason, rows, checks FROM lockstep_ledger")
    assert (outcome, rows) == ("refused", 40)
    assert "expect_column_stdev_to_be_between on risk" in reason
    assert checks.endswith("checks passed, 0 warnings")


def test_a_warehouse_that_cannot_be_told_hides_no_error(tmp_path: Path) -> None:
    folder, settings = make_run(tmp_path, score=lambda batch: np.full(batch.num_rows, 0.5)), make_settings(tmp_path)
    Path(settings.warehouse("duckdb")).unlink()
    with pytest.raises(CheckFailed, match="stdev"):
        audit(folder, settings)
