"""What a plan checks of its model: libraries and precision, on the driver and in a worker."""

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

from lockstep.errors import PrecisionRefused, PrecisionUnsupported, RequirementsDiffer
from lockstep.report.facts import read_facts
from lockstep.report.page import render
from lockstep.run.folder import PLAN
from lockstep.run.plan import Plan
from lockstep.serving.startup import load_model
from lockstep.specs.spec import ModelRef
from lockstep.steps.model_checks import check_precision
from lockstep.steps.plan import PlanOutcome, plan_run
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
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])
    return uri


def planned(root: Path, tracking_uri: str, *, dry_run: bool = False, query: bool = False, **model: Any) -> PlanOutcome:
    """Plan a run over a table of 40 parcels."""
    settings = replace(make_settings(root), tracking_uri=tracking_uri)
    folder = settings.data_root / "parcels" / f"day={DAY}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "a.parquet").is_file():
        pq.write_table(parcels().drop_columns(["day"]), folder / "a.parquet")
    changes = {} if query else {"input": {"table": {"path": "parcels"}}, "reporting": {}}
    loaded = make_spec(root, model={"name": "parcels", **model}, **changes)
    return plan_run(loaded, DAY, settings, dry_run=dry_run)


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
    loaded = load_model(settings, "parcels", alias=None, version=2, declared=declared)
    batch = parcels(64).to_batches()[0]
    in_batch = load_once(loaded.served.identity, plan.cache_root, precision="bfloat16")[0].score(batch)
    assert np.array_equal(loaded.served.scorer.score(batch).values, in_batch.values, equal_nan=True)
    with pytest.raises(PrecisionUnsupported, match="neither a baseline nor an input example"):
        load_model(settings, "parcels", alias=None, version=1, declared=declared)
    refusing = ModelRef(name="parcels", environment="refuse")
    with pytest.raises(RequirementsDiffer):
        load_model(settings, "parcels", alias=None, version=2, declared=refusing)
