"""What is live, by day or latest."""

import datetime as dt
from pathlib import Path

from lockstep.publish.live import live_publication
from lockstep.publish.warehouse import open_warehouse
from lockstep.steps.publish import publish
from tests.unit.steps.runs import make_run, make_settings, pass_audit

DAY = dt.date(2024, 3, 5)


def test_the_latest_live_day_and_a_day_by_its_name(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    warehouse = open_warehouse("duckdb", settings.warehouse("duckdb"), wait_s=1)
    assert live_publication(warehouse, "parcel_risk", None) is None
    folder = pass_audit(make_run(tmp_path))
    publish(folder, settings)
    plan = folder.plan(step="test")
    table = plan.spec.publish.table
    for day in (None, DAY):
        live = live_publication(warehouse, table, day)
        assert live is not None
        assert (live.run_key, live.partition, Path(live.run_folder)) == (plan.run_key, DAY, folder.path)
    assert live_publication(warehouse, table, DAY - dt.timedelta(days=1)) is None
