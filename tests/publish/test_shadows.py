"""Shadow tables in every warehouse: published twice, fenced and vacuumed, and the scores know of nothing."""

import datetime as dt
from pathlib import Path

import pytest

from lockstep.errors import ShadowFailed
from lockstep.run.folder import CLAIM, PLAN
from lockstep.specs.loading import load_spec
from lockstep.steps.publish import publish
from lockstep.steps.shadow import shadow
from lockstep.upkeep.retention import vacuum
from tests.publish.places import Place
from tests.unit.steps.runs import DAY, make_settings, pass_audit
from tests.unit.steps.trials import NEXT, SHADOW, TRIAL, a_bit_later, make_trial, plan_challenger, score_both

TABLE = "parcel_scores"


def test_shadows_are_published_once_fenced_and_vacuumed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_WAREHOUSE", str(tmp_path / "warehouse.duckdb"))
    if place.kind in {"postgresql", "snowflake", "bigquery"}:
        monkeypatch.setenv(f"LOCKSTEP_{place.kind.upper()}", place.location)
    settings, retention = make_settings(tmp_path), {"publications": 1, "days": 0}
    folder = make_trial(
        tmp_path, publish={"warehouse": place.kind, "table": TABLE}, reporting={}, retention=retention, trial=TRIAL
    )
    publish(pass_audit(folder), settings)
    scores = sorted(map(str, place.read(TABLE)))
    outcomes = [shadow(folder, settings)["challengers"][NEXT]["outcome"] for _ in range(2)]
    assert outcomes == ["published", "noop"]
    ours, theirs = ({row["id"]: row for row in place.read(table)} for table in (TABLE, SHADOW))
    assert len(theirs) == len(place.read(SHADOW)) == 40
    assert {row["model_version"] for row in theirs.values()} == {2}
    assert all(row["risk"] == min(ours[key]["risk"] * 1.05, 1.0) for key, row in theirs.items())
    assert sorted(map(str, place.read(TABLE))) == scores, "the scores know of nothing"

    # The alias moves: planned again, the run has another challenger, whose rows replace those of the day.
    older = place.open().claim(SHADOW, partition=DAY, run_key="older", now=dt.datetime.now(dt.UTC))
    own = plan_challenger(folder, tmp_path, version=3)
    score_both(folder, {own: a_bit_later})
    assert shadow(folder, settings)["challengers"][NEXT]["outcome"] == "published"
    assert {row["model_version"] for row in place.read(SHADOW)} == {3}
    live = place.open().live(SHADOW, DAY)
    assert live is not None
    assert (live.run_folder, live.model_version) == (str(own.path), 3)

    # A run that was planned before the one that is live is refused, in the shadow table alone.
    plan = own.plan(step="test")
    own.write_json(CLAIM, older)
    own.write_json(PLAN, plan.model_copy(update={"run_key": "older"}))
    with pytest.raises(ShadowFailed, match="a run planned later"):
        shadow(folder, settings)
    own.write_json(PLAN, plan)
    assert sorted(map(str, place.read(TABLE))) == scores

    spec = load_spec(tmp_path / "models" / "parcels").spec
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    dropped = vacuum(place.open(), spec, settings.runs_root, now=now, dry_run=False)
    assert (dropped.runs, dropped.kept) == ((), 1)
    assert {row["model_version"] for row in place.read(SHADOW)} == {3}
