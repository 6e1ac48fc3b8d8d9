"""Challengers' rows go live in tables of their own, whole and right or not at all."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lockstep.errors import ShadowFailed, StepOutOfOrder
from lockstep.run.folder import AUDIT, COMPARISON, PUBLICATION, RunFolder
from lockstep.run.trials import end_trial, failure_of
from lockstep.steps.compare import compare
from lockstep.steps.publish import publish
from lockstep.steps.shadow import shadow
from tests.unit.steps.runs import km_risk, make_run, make_settings, pass_audit
from tests.unit.steps.trials import NEXT, SHADOW, make_trial, plan_challenger, score_both


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(make_settings(root).warehouse("duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def published(root: Path, **changes: Any) -> RunFolder:
    folder = pass_audit(make_trial(root, **changes))
    publish(folder, make_settings(root))
    return folder


def test_shadows_come_after_the_champion(tmp_path: Path) -> None:
    folder = pass_audit(make_trial(tmp_path))
    with pytest.raises(StepOutOfOrder, match=PUBLICATION):
        shadow(folder, make_settings(tmp_path))
    assert rows(tmp_path, "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'parcel%'") == [(0,)]


def test_the_invariants_are_kept_beside_the_publication(tmp_path: Path) -> None:
    folder = published(tmp_path)
    shadow(folder, make_settings(tmp_path))
    own = folder.challenger(NEXT)
    audit = json.loads(own.file(AUDIT).read_text())
    assert audit["passed"]
    assert {result["kind"] for result in audit["results"]} == {"invariant"}
    assert len(audit["results"]) == 9
    assert json.loads(own.file(PUBLICATION).read_text())["checks"] == "9 of 9 checks passed"


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_rows_that_are_not_whole_are_refused_and_the_others_go_live(tmp_path: Path, damage: str) -> None:
    trial = {"challengers": [{"alias": NEXT}, {"alias": "good", "table": "kept_aside"}]}
    folder = make_run(tmp_path, trial=trial)
    for path in folder.file("staging").glob("*/*"):
        path.unlink()
    folder.file("manifest.json").unlink()
    own, good = plan_challenger(folder, tmp_path), plan_challenger(folder, tmp_path, alias="good", version=3)
    score_both(folder, {own: km_risk, good: km_risk})
    publish(pass_audit(folder), make_settings(tmp_path))
    file = own.file(own.manifest(step="test").units[0].staged)
    file.write_bytes(file.read_bytes()[:-1]) if damage == "changed" else file.unlink()
    for _ in range(2):
        with pytest.raises(ShadowFailed, match=rf"{SHADOW}: .*staged_files_are_unchanged") as caught:
            shadow(folder, make_settings(tmp_path))
        assert "the rows of the champion are live" in str(caught.value)
        assert not caught.value.retryable
    assert not own.has(PUBLICATION)
    assert rows(tmp_path, "SELECT count(*), min(model_version) FROM kept_aside") == [(40, 3)]
    assert rows(tmp_path, "SELECT count(*), min(model_version) FROM parcel_scores") == [(40, 1)]


def test_what_has_no_result_is_passed_over(tmp_path: Path) -> None:
    trial = {"challengers": [{"alias": NEXT}, {"alias": "later"}]}
    folder = published(tmp_path, trial=trial)
    own = folder.challenger(NEXT)
    end_trial(own, failure_of(NEXT, "score", "it fell over", model=None))
    compare(folder, make_settings(tmp_path))
    done = shadow(folder, make_settings(tmp_path))
    assert done["rows"] == 0
    assert done["challengers"][NEXT]["reason"] == "it fell over"
    assert done["challengers"]["later"]["reason"].startswith("this day was scored without it")
    folder.challenger("later").file(COMPARISON).unlink()
    assert shadow(folder, make_settings(tmp_path))["challengers"]["later"]["outcome"] == "passed over"
