"""The performance table is published as the scores are: in every warehouse, again and again."""

import datetime as dt
from pathlib import Path

import pytest

from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.performance_table import read_performance
from lockstep.specs.settings import WAREHOUSE_VARIABLES
from lockstep.upkeep.retention import vacuum
from tests.publish.places import Place
from tests.unit.steps.labelled import Depot, random_outcomes
from tests.unit.steps.runs import DAY, make_settings

TABLE = "parcel_scores_performance"


def test_figures_are_replaced_by_day_and_not_again_without_a_reason(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAREHOUSE_VARIABLES[place.kind], place.location)
    depot = Depot(tmp_path, place.kind)
    assert depot.read() == []
    depot.publish()
    late = random_outcomes()
    depot.happen([*late[:20], *[None] * 20])
    assert [depot.state() for _ in range(2)] == ["measured", "unchanged"]
    before = place.read(TABLE)
    depot.happen(late)
    assert [depot.state() for _ in range(2)] == ["measured", "unchanged"]
    found = depot.read()
    assert [(row.segment_value, row.labelled_count) for row in found] == [(None, 40), ("N", 26), ("S", 14)]
    assert len(place.read(TABLE)) == len(found) == len(before)
    assert [entry.outcome for entry in place.open().history(TABLE)] == ["published"] * 2
    assert read_performance(place.open(), "parcel_scores", since=DAY.replace(day=6), until=DAY.replace(day=9)) == []
    columns, rows = place.open().read_days("parcel_scores", column="day", first=DAY, last=DAY)
    assert (len(rows), columns[:2]) == (40, ["day", "id"])
    settings = make_settings(tmp_path)
    warehouse = open_warehouse(place.kind, place.location, wait_s=20)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    vacuum(warehouse, depot.spec.spec, settings.runs_root, now=later, dry_run=False)
    assert depot.read() == found
