"""A mixed day from plan to ledger: exactly the planned mixture passes, it goes live, and it can be taken back."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lockstep.errors import CheckFailed, StepOutOfOrder
from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.verdict import Verdict
from lockstep.run.canary import published_digest, published_manifest
from lockstep.run.folder import AUDIT, CANARY, MANIFEST, PLAN, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.plan import CanaryPlan
from lockstep.scoring.arms import salt_of
from lockstep.steps.audit import audit
from lockstep.steps.canary import canary
from lockstep.steps.compare import compare
from lockstep.steps.publish import publish
from lockstep.upkeep.diff import compare as compare_runs
from lockstep.upkeep.rollback import Wanted, plan_rollback, roll_back
from tests.unit.steps.canaries import ALIAS, CHALLENGER, CHAMPION, make_trial, staged, trial_spec
from tests.unit.steps.runs import DAY, km_risk, make_model, make_settings, parcels, plan_run, renew_claim
from tests.unit.steps.trials import a_bit_later, plan_challenger, score_both

MIXED = {CHALLENGER, CHAMPION}


def mixed(root: Path, **changes: Any) -> RunFolder:
    """A run with a decided canary."""
    folder = make_trial(root, table=parcels(200), **changes)
    canary(folder, make_settings(root))
    return folder


def live(root: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(make_settings(root).warehouse("duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_mixture_is_audited_published_and_taken_back(tmp_path: Path) -> None:
    before = make_trial(tmp_path, table=parcels(200), fraction=0.9)
    settings = make_settings(tmp_path)
    plain = before.plan(step="test").model_copy(update={"canary": None})
    before.write_json(PLAN, plain)
    folder = mixed(tmp_path, fraction=0.3)
    for one in (before, folder):
        renew_claim(one)
        audit(one, settings)
        first, again = publish(one, settings), publish(one, settings)
        assert (first["outcome"], again["outcome"], first["rows"]) == ("published", "noop", 200)
    verdict = folder.read_record(AUDIT, Verdict, step="test")
    names = [result.name for result in verdict.results if result.kind == "invariant"]
    assert names[-2:] == ["the_canary_is_the_planned_one", "only_the_canarys_arm_is_the_challengers"]
    assert verdict.manifest_sha256 == published_digest(folder, step="test") != file_sha256(folder.file(MANIFEST))
    rows = staged(folder, published_manifest(folder, step="test"))
    made = int((rows["model_version"] == CHALLENGER).sum())
    query = "SELECT model_version, run_key, count(*) FROM parcel_scores GROUP BY ALL ORDER BY ALL"
    keys = sorted(rows["run_key"].unique(), key=lambda key: key.startswith("c"))
    assert live(tmp_path, query) == [(CHAMPION, keys[0], 200 - made), (CHALLENGER, keys[1], made)]
    ledger = live(tmp_path, "SELECT model_version, checks FROM lockstep_ledger WHERE table_name = 'parcel_scores'")
    text = f"canary: {made / 2:.1f} % of the rows by version {CHALLENGER}; "
    assert [(version, checks.startswith(text)) for version, checks in ledger] == [(1, False)] * 2 + [(1, True)] * 2
    (all_rows, *_) = compare_runs(before, folder, by=None)
    assert (all_rows.both, all_rows.only_a, all_rows.only_b) == (200, 0, 0)
    assert 0 < all_rows.changed <= made  # a risk of nothing is the same of both
    warehouse = open_warehouse("duckdb", settings.warehouse("duckdb"), wait_s=5)
    now = dt.datetime.now(dt.UTC)
    plan = plan_rollback(warehouse, "parcel_scores", wanted=Wanted(days=[DAY]))
    assert [entry.outcome for entry in roll_back(warehouse, plan, settings, reason="", now=now)] == ["restored"]
    assert live(tmp_path, "SELECT DISTINCT model_version FROM parcel_scores") == [(CHAMPION,)]
    back = plan_rollback(warehouse, "parcel_scores", wanted=Wanted(as_of=now - dt.timedelta(microseconds=1)))
    list(roll_back(warehouse, back, settings, reason="", now=dt.datetime.now(dt.UTC)))
    assert {version for (version,) in live(tmp_path, "SELECT model_version FROM parcel_scores")} == MIXED


def test_an_aborted_day_is_published_whole_and_the_ledger_says_so(tmp_path: Path) -> None:
    folder, settings = mixed(tmp_path, guardrails={"max_mean_shift": 1e-9}), make_settings(tmp_path)
    audit(folder, settings)
    publish(folder, settings)
    assert live(tmp_path, "SELECT DISTINCT model_version, run_key FROM parcel_scores") == [
        (CHAMPION, folder.plan(step="test").run_key)
    ]
    ((checks,),) = live(tmp_path, "SELECT checks FROM lockstep_ledger WHERE table_name = 'parcel_scores'")
    assert checks.startswith("canary: version 2 aborted; ")


def test_a_run_whose_canary_is_undecided_is_neither_audited_nor_published(tmp_path: Path) -> None:
    folder, settings = make_trial(tmp_path), make_settings(tmp_path)
    for step in (audit, publish):
        with pytest.raises(StepOutOfOrder):
            step(folder, settings)
    canary(folder, settings)
    audit(folder, settings)
    record = json.loads(folder.file(CANARY).read_text())
    folder.write_json(CANARY, {**record, "outcome": "aborted", "manifest": None})
    with pytest.raises(StepOutOfOrder, match="a passed audit"):
        publish(folder, settings)


def rewrite(folder: RunFolder, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a mixed file and what the record says of it, as a faulty canary would have written them."""
    record = json.loads(folder.file(CANARY).read_text())
    unit = record["manifest"]["units"][0]
    path = folder.file(unit["staged"])
    schema = pq.read_schema(path)
    pq.write_table(change(pq.read_table(path)).cast(schema), path)
    unit |= {"size_bytes": path.stat().st_size, "sha256": file_sha256(path)}
    folder.write_json(CANARY, record)


def swap(table: pa.Table) -> pa.Table:
    """Give each model's rows the other one's stamps."""
    columns = {name: table.column(name) for name in table.column_names}
    for name in ("model_version", "model_digest", "run_key"):
        one, other = pc.unique(columns[name]).to_pylist()
        columns[name] = pc.if_else(pc.equal(columns[name], one), other, one)
    return pa.table(columns)


def third(table: pa.Table) -> pa.Table:
    """Let a third version have made the first row."""
    versions = [3, *table.column("model_version").to_pylist()[1:]]
    return table.set_column(table.column_names.index("model_version"), "model_version", pa.array(versions))


def one_more(table: pa.Table) -> pa.Table:
    """Say of one row of the champion that the challenger made it."""
    versions = np.array(table.column("model_version").to_pylist())
    row, model = int(np.flatnonzero(versions == CHAMPION)[0]), int(np.flatnonzero(versions == CHALLENGER)[0])
    rows = table.to_pylist()
    stamps = ("model_version", "model_digest", "run_key", "scored_at")
    rows[row] = {**rows[row], **{name: rows[model][name] for name in stamps}}
    return pa.Table.from_pylist(rows, table.schema)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (swap, "only_the_canarys_arm_is_the_challengers"),
        (third, "every_row_names_this_model_and_run"),
        (one_more, "only_the_canarys_arm_is_the_challengers"),
    ],
)
def test_any_other_mixture_is_refused(tmp_path: Path, change: Callable[[pa.Table], pa.Table], broken: str) -> None:
    folder = mixed(tmp_path)
    rewrite(folder, change)
    with pytest.raises(CheckFailed, match=broken):
        audit(folder, make_settings(tmp_path))


@pytest.mark.parametrize("change", [{"effective": 0.6}, {"salt": "other"}, {"by": ["depot"]}])
def test_a_record_that_is_not_the_plans_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = mixed(tmp_path)
    folder.write_json(CANARY, {**json.loads(folder.file(CANARY).read_text()), **change})
    with pytest.raises(CheckFailed, match="the_canary_is_the_planned_one"):
        audit(folder, make_settings(tmp_path))


def test_what_planning_scoring_and_comparing_leave_is_mixed(tmp_path: Path) -> None:
    """The steps before it for once as they are: the challenger's own plan, one pass of both models, the comparison."""
    settings, loaded = make_settings(tmp_path), trial_spec(tmp_path, 0.3, guardrails={"max_mean_shift": 0.1})
    models = [make_model(tmp_path, loaded, version=n, training=None, score=km_risk) for n in (CHAMPION, CHALLENGER)]
    folder = plan_run(tmp_path, parcels(200), loaded, models[0])
    facts = {"alias": ALIAS, "version": CHALLENGER, "digest": models[1].digest, "fraction": 0.3}
    planned = CanaryPlan.model_validate({**facts, "by": ("id",), "salt": salt_of("parcels", models[1].digest)})
    folder.write_json(PLAN, folder.plan(step="test").model_copy(update={"canary": planned}))
    own = plan_challenger(folder, tmp_path, version=CHALLENGER, alias=ALIAS)
    score_both(folder, {own: a_bit_later})
    compare(folder, settings)
    told = canary(folder, settings)
    assert (told["outcome"], told["reasons"]) == ("active", [])
    rows, theirs = staged(folder, published_manifest(folder, step="test")), staged(own)
    made = rows["model_version"] == CHALLENGER
    assert 30 < made.sum() == told["rows_challenger"] < 90
    assert rows["risk"][made].tolist() == theirs["risk"][made.to_numpy()].tolist()
    assert published_manifest(own, step="test") == own.manifest(step="test"), "a shadow table has no mixture"
