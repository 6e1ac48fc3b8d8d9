"""The reporting DAG: who has one, what starts it, and which days it computes."""

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAny
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.bags import parse
from tests.dags.tasks import DataPlane, context

pytestmark = pytest.mark.filterwarnings("ignore")
NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
FORM = {"first_day": None, "last_day": None, "all_days": False}


def dag(models: Path, *, refresh: str = "") -> DAG:
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(file.read_text() + refresh)
    bag = parse()
    assert bag.import_errors == {}
    made = bag.dags["report_flight_delay"]
    assert DagSerialization.to_dict(made)["dag"]["dag_id"] == made.dag_id
    made.params.validate()
    return made


def test_only_a_spec_with_reporting_tables_has_one(models: Path) -> None:
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(file.read_text().replace("reporting:\n  daily_risk: reporting/daily_risk.sql\n", ""))
    assert "report_flight_delay" not in parse().dags


def test_it_waits_for_outcomes_and_not_for_the_table_that_publishing_has_refreshed(models: Path) -> None:
    assert dag(models).schedule is None
    with_assets = dag(models, refresh='\nrefresh:\n  cron: "30 7 * * *"\n  assets: [lake://landed, lake://late]\n')
    assert isinstance(with_assets.timetable.asset_condition, AssetAny)
    assert {asset.name for asset in with_assets.get_task("refresh").inlets} == {"lake://landed", "lake://late"}
    published = parse().dags["score_flight_delay"].get_task("publish").outlets
    assert not {asset.name for asset in published} & {"lake://landed", "lake://late"}


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ({}, "--trailing 7"),
        ({"first_day": "2013-08-01"}, "--from 2013-08-01 --to 2013-08-01"),
        ({"first_day": "2013-08-01", "last_day": "2013-08-07"}, "--from 2013-08-01 --to 2013-08-07"),
        ({"all_days": True}, ""),
    ],
)
def test_the_form_names_the_days(models: Path, data_plane: DataPlane, form: dict[str, Any], options: str) -> None:
    data_plane("""echo "{\\"args\\": \\"$*\\"}" """)
    done = dag(models).get_task("refresh").execute(context(run_type="manual", **{**FORM, **form}))
    assert done["args"] == f"-m lockstep report refresh flight_delay --json {options}".strip()


@pytest.mark.parametrize("form", [{"last_day": "2013-08-01"}, {"first_day": "2013-08-01", "all_days": True}])
def test_a_form_that_contradicts_itself_is_refused(models: Path, form: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match=r"needs a first day|either days, or all days"):
        dag(models).get_task("refresh").execute(context(run_type="manual", **{**FORM, **form}))


class Events(list[Any]):
    """Events of an asset, of which a task asks for those of a time."""

    def after(self, moment: str) -> "Events":
        return Events(event for event in self if event.timestamp > dt.datetime.fromisoformat(moment))

    def before(self, moment: str) -> "Events":
        return Events(event for event in self if event.timestamp < dt.datetime.fromisoformat(moment))


def test_all_days_of_joined_and_left_behind_events_are_computed_in_one_run(models: Path, data_plane: DataPlane) -> None:
    data_plane("""echo "{\\"args\\": \\"$*\\"}" """)
    refresh = dag(models, refresh="\nrefresh:\n  assets: [lake://landed]\n").get_task("refresh")

    def event(day: int, minute: int) -> Any:
        moment = NOW + dt.timedelta(minutes=minute)
        return SimpleNamespace(partition_key=None, extra={"partition": f"2013-08-0{day}"}, timestamp=moment)

    where = context(run_type="asset_triggered", **FORM)
    where["dag_run"] = SimpleNamespace(
        run_type="asset_triggered", run_after=NOW, start_date=NOW + dt.timedelta(minutes=5), clear_number=0
    )
    where["triggering_asset_events"] = {"landed": [event(3, -2), event(1, -1)]}
    where["inlet_events"] = {Asset("lake://landed"): Events([event(3, -2), event(2, 1), event(4, 9)])}
    options = "--date 2013-08-01 --date 2013-08-02 --date 2013-08-03"
    assert refresh.execute(where)["args"].endswith(f"--json {options}")
