"""The training DAG of a spec: a challenger, which a person may promote."""

import datetime as dt
import os
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, Context, Param

from lockstep.airflow.arrivals import clock_or_assets
from lockstep.airflow.dags import Family, optional_day, spec_dag
from lockstep.airflow.links import MODEL, ModelLink, page_of_model
from lockstep.airflow.spark import SparkJobOperator
from lockstep.airflow.step import StepOperator, failing_for_good, task_settings
from lockstep.run.partition import parse_partition
from lockstep.run.pools import SPARK_POOL, TRAINING_POOL
from lockstep.run.training import (
    TrainingDays,
    retrain_asset,
    script_command,
    training_days,
    training_of,
    training_set_folder,
)
from lockstep.specs.asset_ref import AssetRef
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.specs.training_spec import Training

SPARK_CONNECTION = "spark_default"
# One thread a library is for scoring processes, of which there are many; training is one process.
ONE_THREAD = ("OMP_NUM_THREADS",)


def training_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `train_<spec>`."""
    spec, training = loaded.spec, training_of(loaded.spec)
    name, uri = retrain_asset(spec.name)
    with spec_dag(
        TRAINING,
        loaded,
        page=page,
        tags=["training"],
        description=f"Trains {spec.model.name} and registers it as @{training.alias}.",
        schedule=clock_or_assets(
            training.cron, (AssetRef(name=name, uri=uri), *training.assets), timezone=spec.schedule.timezone
        ),
        start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        params=_form(training),
    ) as dag:
        train = TrainOperator(
            task_id="train",
            spec=spec,
            arguments=[],
            pool=TRAINING_POOL,
            execution_timeout=dt.timedelta(seconds=training.timeout_s),
            doc_md=f"Run `{training.script}` in the {training.environment} environment.",
        )
        train >> CandidateOperator(
            task_id="candidate",
            arguments=["model", "resolve", spec.name, "--model", f"@{training.alias}", "--json"],
            doc_md="Which version the alias points at now: what `promote` may be asked for.",
        )
        if training.build:
            TrainingSetOperator(
                task_id="training_set",
                spec=spec,
                job="build_training_set",
                conn_id=SPARK_CONNECTION,
                pool=SPARK_POOL,
                execution_timeout=dt.timedelta(seconds=training.timeout_s),
                doc_md="Run the feature query and `label.sql` over the training days, one window for each day.",
            ) >> train  # fmt: skip
    return dag


class TrainingSetOperator(SparkJobOperator):
    """Builds the training set; one of the same days, data and queries is left as it is.

    Args:
        spec: The spec.
    """

    def __init__(self, *, spec: ScoringSpec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec

    def execute(self, context: Context) -> None:
        """Run the job."""
        settings = task_settings(self.models_root)
        days = days_of_run(self.spec, context["params"])
        self.log.info("training days %s to %s, validation to %s", days.first, days.last, days.valid_last)
        where = [
            "--spec",
            settings.models_root / self.spec.name,
            "--out",
            training_set_folder(settings, self.spec.name),
        ]
        self.application_args = [*map(str, where), *days.options()]
        super().execute(context)


class TrainOperator(StepOperator):
    """Runs the training script.

    Args:
        spec: The spec.
    """

    def __init__(self, *, spec: ScoringSpec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec

    def execute(self, context: Context) -> Any:
        """Return the JSON object that the script printed last, if it printed one."""
        days = days_of_run(self.spec, context["params"])
        command = script_command(self.spec, days, settings=task_settings(self.models_root), environ=os.environ)
        return self.run_command(command, what=f"training by {training_of(self.spec).script}", without=ONE_THREAD)


class CandidateOperator(StepOperator):
    """Says which version was registered, and leads to it."""

    operator_extra_links = (ModelLink(),)

    def execute(self, context: Context) -> Any:
        """Return `{"name", "version", "digest"}`."""
        facts = super().execute(context)
        self.pages = {MODEL: page_of_model(Settings.from_env(os.environ).mlflow_pages, facts)}
        return facts


def days_of_run(spec: ScoringSpec, params: Mapping[str, Any]) -> TrainingDays:
    """Return the days of a run's form, or those that follow from the spec.

    Raises:
        AirflowFailException: There are none.
    """
    with failing_for_good():
        first, last = (
            None if day is None else parse_partition(day) for day in (params["first_day"], params["last_day"])
        )
        return training_days(spec, first=first, last=last, now=dt.datetime.now(dt.UTC))


def _form(training: Training) -> dict[str, Param]:
    told = (training.first_day, training.last_day)
    first, last = (f"Empty: {day}." if day else "Empty: by the latest days whose outcomes are known." for day in told)
    return {
        "first_day": optional_day("First training day", first),
        "last_day": optional_day(
            "Last training day", f"{last} The {training.validation_days} days after it are for validation."
        ),
    }


def _declares_training(spec: ScoringSpec) -> bool:
    return spec.training is not None


TRAINING = Family("train", training_dag, "training.py", applies=_declares_training)
