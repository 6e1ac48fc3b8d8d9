"""Runs that assets start, made by Airflow's own scheduler in its own tables: no day is lost."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.assets.manager import asset_manager
from airflow.dag_processing.dagbag import sync_bag_to_db
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
from sqlalchemy import select

from lockstep.airflow.arrivals import days_of
from lockstep.airflow.operators import asked_partition
from tests.dags.bags import parse
from tests.dags.tasks import SCHEDULE

DAG_ID = "score_flight_delay"
URI = "lake://flights"
FIRST, SECOND, THIRD = (dt.date(2013, 8, day) for day in (1, 2, 3))
CRON = 'cron: "0 6 * * *"'
pytestmark = pytest.mark.filterwarnings("ignore")
Write = Callable[[str], None]


@pytest.fixture
def schedule(models: Path) -> Write:
    """Put other lines in the place of the spec's cron."""
    file = models / "flight_delay" / "scoring.yaml"

    def write(lines: str) -> None:
        file.write_text(file.read_text().replace(CRON, lines))

    return write


@pytest.fixture(scope="module")
def tables() -> None:
    """Airflow's tables, in the folder that the tests have to themselves."""
    initdb()


@pytest.fixture
def session(tables: None) -> Iterator[Any]:
    """What the scheduler works in; nothing of it stays."""
    with create_session() as opened:
        opened.add(DagBundleModel(name="dags-folder"))
        opened.flush()
        yield opened
        opened.rollback()


class Scheduler:
    """The part of Airflow's scheduler that makes runs, and who updates the assets."""

    def __init__(self, session: Any) -> None:
        bag = parse()
        assert bag.import_errors == {}
        self.dag, self.session = bag.dags[DAG_ID], session
        sync_bag_to_db(bag, "dags-folder", None, session=session)
        for model in session.scalars(select(DagModel)):
            model.is_paused = False
        job = Job()
        session.add(job)
        session.flush()
        self.runner = SchedulerJobRunner(job=job)

    def publish(self, day: dt.date, *, name: str = URI, keyed: bool = False) -> None:
        asset = self.session.scalar(select(AssetModel).where(AssetModel.name == name))
        names = {"partition_key": f"{day}T00:00:00"} if keyed else {"extra": {"partition": f"{day}"}}
        asset_manager.register_asset_change(asset=asset, session=self.session, **names)
        self.session.flush()  # Airflow's sessions do not by themselves

    def runs(self) -> list[DagRun]:
        """Make the runs that are due, and return all that assets started."""
        self.runner._create_dagruns_for_dags(SimpleNamespace(commit=self.session.flush), self.session)
        ours = (DagRun.dag_id == DAG_ID, DagRun.run_type == DagRunType.ASSET_TRIGGERED)
        return list(self.session.scalars(select(DagRun).where(*ours).order_by(DagRun.id)))

    def context(self, run: DagRun) -> dict[str, Any]:
        """What a task of the run gets to see; inlet events as the database has them."""
        run.start_date = dt.datetime.now(dt.UTC)
        events = list(self.session.scalars(select(AssetEvent)))
        return {
            "dag_run": run,
            "params": {"date": None},
            "triggering_asset_events": {"all": run.consumed_asset_events},
            "inlet_events": {inlet: Inlet(events) for inlet in self.dag.get_task("further_days").inlets}
            if self.dag.has_task("further_days")
            else {},
        }

    def scored(self, run: DagRun) -> list[dt.date]:
        """The day of the run, then those for which it starts further ones."""
        context = self.context(run)
        own = asked_partition(SCHEDULE, context)
        further = self.dag.get_task("further_days").execute(context) if self.dag.has_task("further_days") else []
        return [own, *(dt.date.fromisoformat(run["conf"]["date"]) for run in further)]


class Inlet(list[Any]):
    """Events of an asset, as a task may ask for them."""

    def after(self, moment: str) -> "Inlet":
        return Inlet(event for event in self if event.timestamp > dt.datetime.fromisoformat(moment))

    def before(self, moment: str) -> "Inlet":
        return Inlet(event for event in self if event.timestamp < dt.datetime.fromisoformat(moment))


@pytest.mark.parametrize("clock", ["", CRON])
def test_two_publications_lead_to_two_days_also_when_airflow_makes_one_run(
    session: Any, schedule: Write, clock: str
) -> None:
    schedule(f"{clock}\n  assets: [{URI}]")
    scheduler = Scheduler(session)
    scheduler.publish(SECOND)
    scheduler.publish(FIRST)
    (run,) = scheduler.runs()
    # Airflow 3.3 hands out only what came before its queue's entry: the reason for looking at the asset itself.
    assert len(run.consumed_asset_events) == 1
    assert scheduler.scored(run) == [SECOND, FIRST]
    scheduler.publish(THIRD)
    _, later = scheduler.runs()
    assert THIRD in scheduler.scored(later)


def test_events_with_partition_keys_are_one_run_each(session: Any, schedule: Write) -> None:
    schedule(f"assets: [{URI}]\n  asset_days: partition_key")
    scheduler = Scheduler(session)
    for day in (SECOND, FIRST, SECOND):
        scheduler.publish(day, keyed=True)
    assert [scheduler.scored(run) for run in scheduler.runs()] == [[SECOND], [FIRST]]


def test_a_day_with_keys_waits_until_all_assets_have_it(session: Any, schedule: Write) -> None:
    schedule(f"assets: [{URI}, {{name: weather, uri: lake://weather}}]\n  asset_days: partition_key")
    scheduler = Scheduler(session)
    scheduler.publish(FIRST, keyed=True)
    scheduler.publish(SECOND, keyed=True)
    assert scheduler.runs() == []
    scheduler.publish(FIRST, name="weather", keyed=True)
    assert [scheduler.scored(run) for run in scheduler.runs()] == [[FIRST]]


def test_an_asset_that_names_no_day_means_the_latest_finished_one_and_nonsense_is_refused() -> None:
    def context(*extras: dict[str, Any]) -> dict[str, Any]:
        events = [SimpleNamespace(partition_key=None, extra=extra) for extra in extras]
        return {"dag_run": SimpleNamespace(partition_key=None), "triggering_asset_events": {"a": events}}

    assert days_of(context({})) == []
    assert days_of({"dag_run": SimpleNamespace()}) == []
    assert days_of(context({"partition": "2013-08-02"}, {"partition": "2013-08-01"})) == [FIRST, SECOND]
    run = SimpleNamespace(partition_key=None, run_type="asset_triggered", logical_date=None)
    nonsense = {**context({"partition": "yesterday"}), "dag_run": run, "params": {"date": None}}
    with pytest.raises(AirflowFailException, match="'yesterday' is what an asset's event names, and no day"):
        asked_partition(SCHEDULE, nonsense)
