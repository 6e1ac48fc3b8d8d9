"""Challengers are frozen with the run, from a real registry; none of them keeps a run from being planned."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest

from lockstep.errors import SpecError
from lockstep.run.comparison import Comparison
from lockstep.run.folder import CLAIM, COMPARISON, PLAN, RunFolder
from lockstep.run.identity import run_key
from lockstep.run.trials import FAILURE, end_trial, failure_of, on_trial
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.settings import Settings
from lockstep.steps.model_choice import challenger_versions
from lockstep.steps.plan import Pinned, plan_run
from tests.unit.steps.runs import DAY, make_settings, make_spec, parcels
from tests.unit.steps.test_plan_model import tracking_uri  # noqa: F401 - a fixture: versions 1, the champion, and 2

TRIAL = {"challengers": [{"alias": "next"}, {"alias": "same"}, {"alias": "gone"}]}


@pytest.fixture
def client(tracking_uri: str) -> mlflow.MlflowClient:  # noqa: F811
    """The registry, in which `next` is version 2 and `same` the champion's."""
    client = mlflow.MlflowClient(tracking_uri, tracking_uri)
    client.set_registered_model_alias("parcels", "next", "2")
    client.set_registered_model_alias("parcels", "same", "1")
    return client


@pytest.fixture
def world(tmp_path: Path, tracking_uri: str, client: mlflow.MlflowClient) -> tuple[LoadedSpec, Settings]:  # noqa: F811
    """A spec with challengers over a table of 40 parcels."""
    settings = replace(make_settings(tmp_path), tracking_uri=tracking_uri)
    folder = settings.data_root / "parcels" / f"day={DAY}"
    folder.mkdir(parents=True)
    pq.write_table(parcels().drop_columns(["day"]), folder / "a.parquet")
    return make_spec(tmp_path, input={"table": {"path": "parcels"}}, reporting={}, trial=TRIAL), settings


def reason(folder: RunFolder, alias: str) -> str:
    own = folder.challenger(alias)
    failure = json.loads(own.file(FAILURE).read_text())["reason"] if own.has(FAILURE) else ""
    if failure:
        assert own.read_record(COMPARISON, Comparison, step="test").failure == failure
    return str(failure)


def test_challengers_are_frozen_with_the_run(world: tuple[LoadedSpec, Settings], client: mlflow.MlflowClient) -> None:
    loaded, settings = world
    first = plan_run(loaded, DAY, settings)
    folder, champion = first.folder, first.plan
    assert on_trial(folder) == ["next"]
    assert reason(folder, "same") == "it is the champion itself: there is nothing to compare"
    assert reason(folder, "gone") == "the alias does not exist"
    own = folder.challenger("next")
    plan = own.plan(step="test")
    assert (plan.model.version, plan.model.alias, plan.spec) == (2, "next", champion.spec)
    facts = {"spec": champion.spec_hash, "partition": DAY, "data": champion.input_digest}
    assert plan.run_key == run_key(model=plan.model.digest, **facts) != champion.run_key
    claim = own.claim(step="test")
    assert claim.table == "parcel_scores_next"

    # Again: the same challenger with a new claim, also one that had ended, with what it has finished.
    end_trial(own, failure_of("next", "score", "it fell over", model=plan.model))
    done = own.folder("staging", "u00000")
    for name in ("good.parquet", "good.json", "dead.parquet"):
        (done / name).touch()
    assert on_trial(plan_run(loaded, DAY, settings).folder) == ["next"]
    assert own.plan(step="test") == plan
    assert own.claim(step="test").token > claim.token
    assert sorted(path.name for path in done.iterdir()) == ["good.json", "good.parquet"]

    # The alias moves: nothing of the old version stays. It comes back: a new plan.
    client.set_registered_model_alias("parcels", "next", "1")
    plan_run(loaded, DAY, settings)
    assert not own.has(PLAN)
    assert not own.has(CLAIM)
    assert not done.exists()
    assert reason(folder, "next").startswith("it is the champion itself")
    client.set_registered_model_alias("parcels", "next", "2")
    plan_run(loaded, DAY, settings)
    assert on_trial(folder) == ["next"]


def test_a_pinned_version_is_kept_whatever_the_alias_means(
    world: tuple[LoadedSpec, Settings], client: mlflow.MlflowClient
) -> None:
    loaded, settings = world
    pinned = challenger_versions(loaded, settings)
    assert pinned == {"next": 2, "same": 1, "gone": None}
    client.set_registered_model_alias("parcels", "next", "1")
    client.set_registered_model_alias("parcels", "gone", "2")
    folder = plan_run(loaded, DAY, settings, pinned=Pinned(challengers=pinned)).folder
    client.delete_registered_model_alias("parcels", "gone")
    assert on_trial(folder) == ["next"]
    assert folder.challenger("next").plan(step="test").model.version == 2
    assert reason(folder, "gone") == "the alias does not exist"
    nowhere = replace(settings, tracking_uri="http://127.0.0.1:9")
    assert challenger_versions(loaded, nowhere) == {}


def test_a_spec_that_shadows_anothers_table_is_not_planned(world: tuple[LoadedSpec, Settings], tmp_path: Path) -> None:
    loaded, settings = world
    other = tmp_path / "models" / "other"
    other.mkdir()
    text = (loaded.folder / "scoring.yaml").read_text().replace("table: parcel_scores", "table: parcel_scores_next")
    (other / "scoring.yaml").write_text(text.replace("name: parcels\n", "name: other\n"))
    with pytest.raises(SpecError, match="is a table of spec 'other'"):
        plan_run(loaded, DAY, settings)
    assert not list(tmp_path.rglob("plan.json"))
