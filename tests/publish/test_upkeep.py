"""A week is published, published anew by a worse model, rolled back, compared and vacuumed; in every warehouse."""

import datetime as dt
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.errors import LockstepError, NothingToRestore
from lockstep.run.folder import RunFolder
from lockstep.steps.publish import publish
from tests.publish.places import KINDS, STORED, Place
from tests.unit.steps.runs import DAY, km_risk, make_run, make_settings, parcels, pass_audit

WEEK = [DAY + dt.timedelta(days=i) for i in range(7)]
TABLE = "parcel_scores"
FIRST_DAY, LAST_DAY = str(WEEK[0]), str(WEEK[-1])

Publish = Callable[..., RunFolder]


@pytest.fixture
def home(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings by which the command line finds the place."""
    monkeypatch.setenv("LOCKSTEP_HOME", str(tmp_path))
    monkeypatch.setenv("LOCKSTEP_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("LOCKSTEP_ACTOR", "anna")
    monkeypatch.setenv("LOCKSTEP_WAREHOUSE", str(tmp_path / "warehouse.duckdb"))
    if place.kind != "duckdb":
        monkeypatch.setenv(f"LOCKSTEP_{place.kind.upper()}", place.location)
    return tmp_path


@pytest.fixture
def publish_day(place: Place, home: Path) -> Publish:
    """Score and publish a day; a higher version gives other scores."""

    def make(day: dt.date, version: int, **spec: Any) -> RunFolder:
        def score(batch: pa.RecordBatch) -> np.ndarray:
            return np.asarray(np.clip(km_risk(batch) + (version - 1) / 8, 0, 1))

        spec = {"publish": {"warehouse": place.kind, "table": TABLE}, "reporting": {}, **spec}
        folder = pass_audit(make_run(home, table=parcels(day=day), version=version, score=score, **spec))
        settings = make_settings(home)
        os.environ["LOCKSTEP_HOME"] = str(settings.home)
        publish(folder, settings)
        return folder

    return make


def lockstep(*args: str) -> Any:
    result = CliRunner().invoke(app, [*args, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rows(place: Place) -> list[str]:
    return sorted(str(sorted(row.items())) for row in place.read(TABLE))


def versions(place: Place) -> Counter[int]:
    return Counter(row["model_version"] for row in place.read(TABLE))


@pytest.mark.slow
def test_a_rollback_of_a_week_restores_its_very_rows(place: Place, home: Path, publish_day: Publish) -> None:
    first = {day: publish_day(day, 1) for day in WEEK}
    before = rows(place)
    for day in WEEK:
        publish_day(day, 2)
    assert versions(place) == {2: 7 * 40}

    days = ("--from", FIRST_DAY, "--to", LAST_DAY)
    assert lockstep("rollback", "parcels", *days, "--dry-run")["restored"] == []
    assert versions(place) == {2: 7 * 40}
    made = lockstep("rollback", "parcels", *days, "--reason", "version 2 is worse")["restored"]
    assert [(e["partition"], e["outcome"], e["run_key"]) for e in made] == [
        (str(day), "restored", first[day].path.name) for day in WEEK
    ]
    assert rows(place) == before
    again = lockstep("rollback", "parcels", *days)
    assert (again["restored"], again["done"]) == ([], [str(day) for day in WEEK])

    story = lockstep("history", TABLE, "--warehouse", place.kind, "--date", FIRST_DAY)
    assert [(e["outcome"], e["model_version"], e["actor"], e["reason"]) for e in story] == [
        ("restored", 1, "anna", "version 2 is worse"),
        ("published", 2, "tester", ""),
        ("published", 1, "tester", ""),
    ]
    assert place.open().live(TABLE, DAY).rows == 40  # type: ignore[union-attr]


@pytest.mark.slow
def test_what_one_version_made_is_rolled_back_and_nothing_else(place: Place, publish_day: Publish) -> None:
    for version, days in ((1, WEEK[:3]), (2, WEEK[1:3])):
        for day in days:
            publish_day(day, version)
    lockstep("rollback", "parcels", "--model-version", "2")
    assert versions(place) == {1: 3 * 40}
    again = lockstep("rollback", "parcels", "--model-version", "2")
    assert again == {"restored": [], "done": [str(day) for day in WEEK[1:3]]}
    with pytest.raises(NothingToRestore, match="no partition is live that this selects"):
        lockstep("rollback", "parcels", "--model-version", "3")


@pytest.mark.slow
def test_a_rollback_that_cannot_be_done_whole_is_not_begun(place: Place, publish_day: Publish) -> None:
    first = [publish_day(day, 1) for day in WEEK[:2]]
    publish_day(WEEK[0], 2)
    with pytest.raises(NothingToRestore, match=rf"(?s){WEEK[1]}: nothing was published before") as caught:
        lockstep("rollback", "parcels", "--from", str(WEEK[0]), "--to", str(WEEK[2]))
    assert f"{WEEK[2]}: nothing is published" in str(caught.value)
    staged = next((first[0].path / "staging").rglob("*.parquet"))
    staged.unlink()
    with pytest.raises(NothingToRestore, match="has lost 1 of its staged files"):
        lockstep("rollback", "parcels", "--date", str(WEEK[0]))
    shutil.rmtree(first[0].path)
    with pytest.raises(NothingToRestore, match="is gone"):
        lockstep("rollback", "parcels", "--date", str(WEEK[0]))
    assert versions(place) == {1: 40, 2: 40}


@pytest.mark.slow
def test_as_of_restores_what_was_live_then(place: Place, publish_day: Publish) -> None:
    publish_day(DAY, 1)
    publish_day(DAY, 2)
    second = place.open().history(TABLE)[-1].recorded_at
    publish_day(DAY, 3)
    made = lockstep("rollback", "parcels", "--as-of", second.isoformat())["restored"]
    assert [e["model_version"] for e in made] == [2]
    assert lockstep("rollback", "parcels", "--as-of", second.isoformat())["restored"] == []
    with pytest.raises(LockstepError, match="is no time"):
        lockstep("rollback", "parcels", "--as-of", "yesterday")


@pytest.mark.slow
@pytest.mark.parametrize("place", [*KINDS, *STORED], indirect=True)
def test_vacuum_keeps_what_is_live_or_restorable(place: Place, home: Path, publish_day: Publish) -> None:
    keep = {"retention": {"publications": 2, "days": 0}}
    runs = [publish_day(DAY, version, **keep) for version in (1, 2, 3, 4)]
    other = publish_day(WEEK[1], 1, **keep)
    everything = {path for path in home.rglob("*") if path.is_file()}
    told = lockstep("vacuum", "parcels", "--dry-run")
    assert {path for path in home.rglob("*") if path.is_file()} == everything
    assert [Path(path).name for path in told["runs"]] == sorted(run.path.name for run in runs[:2])

    done = lockstep("vacuum", "parcels")
    assert (done["runs"], done["kept"]) == (told["runs"], 3)
    assert done["warehouse"] == told["warehouse"]
    assert [run.path.exists() for run in (*runs, other)] == [False, False, True, True, True]
    assert versions(place) == {4: 40, 1: 40}
    assert bool(done["warehouse"]) == (place.kind in {"iceberg", "delta"})
    assert lockstep("vacuum", "parcels")["runs"] == []
    assert len(place.open().history(TABLE)) == 5

    made = lockstep("rollback", "parcels", "--date", str(DAY))["restored"]
    assert [e["model_version"] for e in made] == [3]
    assert versions(place) == {3: 40, 1: 40}


@pytest.mark.slow
def test_vacuum_leaves_alone_what_is_young_or_of_another_table(place: Place, home: Path, publish_day: Publish) -> None:
    for version in (1, 2, 3):
        publish_day(DAY, version, retention={"publications": 1, "days": 1})
    assert lockstep("vacuum", "parcels")["runs"] == []
    publish_day(
        WEEK[1], 1, retention={"publications": 1, "days": 0}, publish={"warehouse": place.kind, "table": "elsewhere"}
    )
    assert lockstep("vacuum", "parcels")["runs"] == []


@pytest.mark.parametrize("place", ["duckdb"], indirect=True)  # it reads run folders, no warehouse
def test_diff_counts_and_measures(place: Place, publish_day: Publish) -> None:
    a, b = publish_day(DAY, 1), publish_day(DAY, 2)
    whole, *depots = lockstep("diff", a.path.name[:8], str(b.path), "--by", "depot")
    assert (whole["both"], whole["only_a"], whole["only_b"]) == (40, 0, 0)
    assert whole["changed"] == sum((i * 37) % 100 < 100 and (i * 37) % 100 != 100 for i in range(40))
    assert whole["mean_b"] > whole["mean_a"]
    assert whole["quantiles"][0] == pytest.approx(0.125)
    assert {d["segment"]: d["both"] for d in depots} == {"N": 26, "S": 14}
    same = lockstep("diff", str(a.path), str(a.path))
    assert (same[0]["changed"], same[0]["quantiles"][-1]) == (0, 0.0)
    next_day = publish_day(WEEK[1], 1)
    assert lockstep("diff", str(a.path), str(next_day.path))[0]["both"] == 40
    with pytest.raises(LockstepError, match="no finished run has this key"):
        lockstep("diff", "0123", str(b.path))
