"""What a plan settles about models: libraries and precision, on the driver and in a worker, and the canary."""

import datetime as dt
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from lockstep.errors import PrecisionRefused, PrecisionUnsupported, RequirementsDiffer, SpecError
from lockstep.report.facts import read_facts
from lockstep.report.page import render
from lockstep.run.canary_state import CanaryEvent, record_event
from lockstep.run.folder import PLAN
from lockstep.run.plan import Plan
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.loading import load_version, resolve
from lockstep.serving.versions import LoadedVersion
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef
from lockstep.specs.trial_spec import Canary
from lockstep.steps.canary_plan import split_columns
from lockstep.steps.model_checks import check_precision
from lockstep.steps.plan import Pinned, PlanOutcome, plan_run
from lockstep.upkeep.canary import canary_status, decide
from tests.unit.steps.canaries import trial
from tests.unit.steps.runs import DAY, make_settings, make_spec, parcels
from udfs.worker import load_once

REQUIREMENTS = ["torch", "no-such-library==3.1"]


class Risk(torch.nn.Module):
    """A share of the distance, through a layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Score `(rows, 1)` kilometres."""
        return torch.sigmoid(self.layers(given / 100))


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with model `parcels`, logged in another environment; version 2 has an input example."""
    folder = tmp_path_factory.mktemp("registry")
    uri, before = f"sqlite:///{folder}/mlflow.db", (mlflow.get_tracking_uri(), mlflow.get_registry_uri())
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.create_experiment("parcels", artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment("parcels")
    signature = ModelSignature(Schema([ColSpec(DataType.double, "km")]), Schema([ColSpec(DataType.float, "risk")]))
    for example in (None, pd.DataFrame({"km": [1.0, 99.0]})):
        with warnings.catch_warnings(), mlflow.start_run():
            warnings.simplefilter("ignore")
            mlflow.pytorch.log_model(
                Risk(),
                name="m",
                signature=signature,
                input_example=example,
                serialization_format="pickle",
                pip_requirements=REQUIREMENTS,
                registered_model_name="parcels",
            )
    mlflow.MlflowClient().set_registered_model_alias("parcels", "champion", "1")
    mlflow.MlflowClient().set_registered_model_alias("parcels", "challenger", "2")
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])
    return uri


def planned(
    root: Path,
    tracking_uri: str,
    *,
    dry_run: bool = False,
    query: bool = False,
    version: int | None = None,
    trial: dict[str, Any] | None = None,
    **model: Any,
) -> PlanOutcome:
    """Plan a run over a table of 40 parcels."""
    settings = replace(make_settings(root), tracking_uri=tracking_uri)
    folder = settings.data_root / "parcels" / f"day={DAY}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "a.parquet").is_file():
        pq.write_table(parcels().drop_columns(["day"]), folder / "a.parquet")
    changes = {} if query else {"input": {"table": {"path": "parcels"}}, "reporting": {}}
    loaded = make_spec(root, model={"name": "parcels", **model}, trial=trial, **changes)
    return plan_run(loaded, DAY, settings, pinned=Pinned(version), dry_run=dry_run)


def stored(outcome: PlanOutcome) -> Plan:
    """The plan as the workers read it."""
    return outcome.folder.read_record(PLAN, Plan, step="test")


def test_other_libraries_are_recorded_and_shown(tmp_path: Path, tracking_uri: str) -> None:
    outcome = planned(tmp_path, tracking_uri)
    assert stored(outcome).environment == ("no-such-library: wanted ==3.1, found none",)
    assert stored(outcome).precision is None
    page = render(read_facts(outcome.folder), now=outcome.plan.planned_at)
    assert "no-such-library: wanted ==3.1, found none" in page
    assert planned(tmp_path, tracking_uri, environment="ignore").plan.environment == ()


def test_other_libraries_are_refused_on_driver_and_worker(tmp_path: Path, tracking_uri: str) -> None:
    plan = planned(tmp_path, tracking_uri, environment="ignore").plan
    with pytest.raises(RequirementsDiffer, match="parcels version 1") as on_driver:
        planned(tmp_path, tracking_uri, environment="refuse")
    with pytest.raises(RequirementsDiffer) as on_worker:
        load_once(plan.model, plan.cache_root, device="cpu", environment="refuse")
    assert str(on_driver.value) == str(on_worker.value)


def test_reduced_precision_is_measured_recorded_and_used(tmp_path: Path, tracking_uri: str) -> None:
    full = planned(tmp_path, tracking_uri).plan
    outcome = planned(tmp_path, tracking_uri, precision="bfloat16", max_precision_difference=0.05)
    measured = stored(outcome).precision
    assert measured is not None
    assert (measured.precision, measured.rows) == ("bfloat16", 40)
    assert measured.source == "the first 40 rows of table parcels"
    assert 0 < measured.mean_difference <= measured.max_difference < 0.05
    assert outcome.plan.run_key != full.run_key
    page = render(read_facts(outcome.folder), now=outcome.plan.planned_at)
    assert "bfloat16: differs from float32 by up to" in page
    again = planned(tmp_path, tracking_uri, precision="bfloat16", max_precision_difference=0.05)
    assert again.plan == stored(outcome)
    batch = parcels(64).to_batches()[0]
    scores = [
        load_once(full.model, full.cache_root, device="cpu", precision=kind)[0].score(batch).values
        for kind in ("float32", "bfloat16")
    ]
    apart = abs(scores[0] - scores[1])
    assert apart[:40].max() == pytest.approx(measured.max_difference)


def test_too_large_a_difference_plans_nothing(tmp_path: Path, tracking_uri: str) -> None:
    with pytest.raises(PrecisionRefused, match="in bfloat16 differs from float32 by up to"):
        planned(tmp_path, tracking_uri, precision="bfloat16", max_precision_difference=1e-9)
    assert not list((tmp_path / "runs").rglob("plan.json"))


def test_without_rows_at_hand_and_without_an_example(tmp_path: Path, tracking_uri: str) -> None:
    plan = planned(tmp_path, tracking_uri).plan
    loaded = make_spec(tmp_path, model={"name": "parcels", "precision": "int8"})
    with pytest.raises(PrecisionUnsupported, match="neither a baseline nor an input example"):
        check_precision(loaded.spec, plan.model, make_settings(tmp_path), partition=DAY)


def test_the_endpoint_scores_in_the_precision_of_its_spec(tmp_path: Path, tracking_uri: str) -> None:
    plan = planned(tmp_path, tracking_uri).plan
    settings = replace(make_settings(tmp_path), tracking_uri=tracking_uri)
    declared = ModelRef(name="parcels", precision="bfloat16", max_precision_difference=0.05)

    def load(version: int, declared: ModelRef) -> LoadedVersion:
        identity = resolve(settings, declared, version=version)
        return load_version(settings, identity, declared=declared, limits=LaneLimits())

    loaded = load(2, declared)
    batch = parcels(64).to_batches()[0]
    in_batch = load_once(loaded.identity, plan.cache_root, precision="bfloat16")[0].score(batch)
    assert np.array_equal(loaded.scorer.score(batch).values, in_batch.values, equal_nan=True)
    with pytest.raises(PrecisionUnsupported, match="neither a baseline nor an input example"):
        load(1, declared)
    refusing = ModelRef(name="parcels", environment="refuse")
    with pytest.raises(RequirementsDiffer):
        load(2, refusing)


def key(root: Path, tracking_uri: str, section: dict[str, Any] | None, *, version: int | None = None) -> str:
    """The run's key, which the plan agrees with."""
    outcome = planned(root, tracking_uri, trial=section, version=version, dry_run=True)
    assert outcome.folder.path.name == outcome.plan.run_key
    return outcome.plan.run_key


def test_a_canary_is_part_of_the_key_and_only_while_it_publishes(tmp_path: Path, tracking_uri: str) -> None:
    plain = key(tmp_path, tracking_uri, None)
    later = {**trial(), "canary": {**trial()["canary"], "ramp": {DAY + dt.timedelta(days=1): 0.5}}}
    nobody = trial()
    nobody["challengers"] = [{"alias": "nobody"}]
    nobody["canary"]["challenger"] = "nobody"
    shadow = {"challengers": [{"alias": "challenger"}]}
    for without in (shadow, trial(0.0), later, nobody):
        assert key(tmp_path, tracking_uri, without) == plain
    assert key(tmp_path, tracking_uri, trial(), version=2) == key(tmp_path, tracking_uri, None, version=2)
    sections = [trial(), trial(0.2), trial(by=("depot",)), trial(max_psi=0.3), {**trial(), "tolerance": 0.5}]
    assert len({plain, *(key(tmp_path, tracking_uri, section) for section in sections)}) == len(sections) + 1
    canary = planned(tmp_path, tracking_uri, trial=trial(), dry_run=True).plan.canary
    assert canary is not None
    assert (canary.alias, canary.version, canary.fraction, canary.by) == ("challenger", 2, 0.5, ("id",))


def test_an_aborted_challenger_is_in_no_further_run_but_the_one_that_aborted_it(
    tmp_path: Path, tracking_uri: str
) -> None:
    plain, mixed = (planned(tmp_path, tracking_uri, trial=section) for section in (None, trial()))
    canary, home = mixed.plan.canary, make_settings(tmp_path).home
    assert canary is not None
    facts = {"at": mixed.plan.planned_at, "actor": "ann", "alias": "challenger", "version": 2, "digest": canary.digest}
    event = CanaryEvent(kind="aborted", reasons=("slow",), partition=DAY, run_key=mixed.plan.run_key, **facts)
    record_event(home, "parcels", event)
    assert stored(planned(tmp_path, tracking_uri, trial=trial())) == stored(mixed)
    assert key(tmp_path, tracking_uri, trial(0.2)) == plain.plan.run_key
    record_event(home, "parcels", event.model_copy(update={"kind": "resumed"}))
    assert key(tmp_path, tracking_uri, trial(0.2)) not in {plain.plan.run_key, mixed.plan.run_key}


def test_a_person_sees_aborts_and_resumes_it(tmp_path: Path, tracking_uri: str) -> None:
    settings: Settings = replace(make_settings(tmp_path), tracking_uri=tracking_uri)
    loaded, now = make_spec(tmp_path, trial=trial()), dt.datetime(2024, 3, 6, tzinfo=dt.UTC)

    def state(day: dt.date = DAY) -> str:
        return canary_status(loaded, settings, day=day).state

    assert (state(), state(DAY - dt.timedelta(days=1))) == ("active", "waiting")
    done = [decide(loaded, settings, "aborted", reason=why, now=now) for why in ("slow", "again")]
    assert [(event.reasons, event.actor, new) for event, new in done] == [
        (("slow",), "tester", True),
        (("slow",), "tester", False),
    ]
    assert state() == "aborted"
    assert decide(loaded, settings, "resumed", reason="mended", now=now)[1] is True
    found = canary_status(loaded, settings, day=DAY)
    assert (found.state, found.version, found.champion, found.asked) == ("active", 2, 1, 0.5)
    assert [event["kind"] for event in found.facts()["events"]] == ["aborted", "resumed"]
    with pytest.raises(SpecError, match="there is no canary in it"):
        canary_status(make_spec(tmp_path), settings, day=DAY)


def test_rows_are_kept_together_by_the_key_without_the_day(tmp_path: Path) -> None:
    spec = make_spec(tmp_path).spec
    canary = Canary.model_validate(trial()["canary"])
    assert split_columns(spec, canary) == ("id",)
    assert split_columns(spec, canary.model_copy(update={"by": ("depot",)})) == ("depot",)
    assert split_columns(spec.model_copy(update={"key": ("day",)}), canary) == ("day",)
