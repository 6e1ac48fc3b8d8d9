"""The DAG that compares a spec's scores with what happened, and asks for a new model when the old one is not enough."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, Context, CronTriggerTimetable, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from lockstep.airflow.dags import Family, day_range, spec_dag
from lockstep.airflow.step import StepOperator
from lockstep.run.pools import warehouse_pool
from lockstep.specs.labels_spec import Labels
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.spec import ScoringSpec

MEASURE = "measure"


def labels_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `label_<spec>`, of a spec with `labels`."""
    spec, labels = loaded.spec, loaded.spec.labels
    if labels is None:
        raise ValueError(f"spec {spec.name} has no labels")
    with spec_dag(
        LABELS,
        loaded,
        page=page,
        tags=["labels"],
        description=f"Compares the scores in {spec.publish.table} with what happened, once it is known.",
        schedule=_schedule(labels, spec.schedule.timezone),
        start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        params=_form(labels),
    ) as dag:
        pool = warehouse_pool(spec.publish.warehouse)
        measure = MeasureOperator(
            task_id=MEASURE,
            arguments=["labels", "measure", spec.name, "--json"],
            pool=pool,
            doc_md="Join the outcomes with the published rows, day by day, and publish the figures.",
        )
        if labels.retrain is not None:
            measure >> RetrainOperator(
                task_id="retrain",
                arguments=["labels", "judge", spec.name, "--json"],
                outlets=[retraining(spec)],
                pool=pool,
                doc_md="Ask for a new model when the limits of `labels.retrain` are exceeded: once for each breach.",
            )
    return dag


def retraining(spec: ScoringSpec) -> Asset:
    """Return the asset that is updated when a new model is asked for; a training DAG is scheduled by it."""
    return Asset(name=f"retrain/{spec.name}", uri=f"lockstep://retrain/{spec.name}", group="lockstep")


def _schedule(labels: Labels, timezone: str) -> Any:
    nightly = CronTriggerTimetable(labels.cron, timezone=timezone)
    if labels.asset is None:
        return nightly
    asset = Asset.ref(uri=labels.asset) if "://" in labels.asset else Asset.ref(name=labels.asset)
    return AssetOrTimeSchedule(timetable=nightly, assets=[asset])


class MeasureOperator(StepOperator):
    """Measures the days that the form says, or those of the spec's window."""

    def execute(self, context: Context) -> Any:
        """Return what became of each day, and the figures."""
        done = self.run_step([*self.arguments, *measure_options(context["params"])])
        if done and done["without_labels"]:
            self.log.warning("no row has a label yet of: %s", ", ".join(done["without_labels"]))
        return done


class RetrainOperator(StepOperator):
    """Judges the model; its outlet is updated only when a breach is new."""

    def execute(self, context: Context) -> Any:
        """Return the judgement; without a new breach the task is skipped, so that nothing is updated."""
        if context["params"]["dry_run"]:
            raise AirflowSkipException("dry run: the figures were not published, so nothing is judged")
        run = context["dag_run"]
        verdict = self.run_step([*self.arguments, "--signal", f"{run.dag_id} {run.run_id}"])
        context["ti"].xcom_push(key="return_value", value=verdict)  # a skipped task would leave none
        breaches = verdict["judgement"]["breaches"] if "judgement" in verdict else []
        if not verdict["new"]:
            raise AirflowSkipException(
                "the limits are exceeded, and a new model was asked for already" if breaches else "no limit is exceeded"
            )
        self.log.warning("a new model is asked for: %s", "; ".join(_words(breach) for breach in breaches))
        version = verdict["judgement"]["model_version"]
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"model_version": version, "breaches": breaches}
        return verdict


def _words(breach: Mapping[str, Any]) -> str:
    return f"{breach['limit']} {breach['allowed']:g}: it is {breach['value']:.4f}"


def measure_options(params: Mapping[str, Any]) -> Sequence[str]:
    """Return the command-line options of a filled form.

    Raises:
        AirflowFailException: It has a last day without a first one.
    """
    first, last = params["first_day"], params["last_day"]
    if first is None and last is not None:
        raise AirflowFailException("a last day needs a first day")
    days = [] if first is None else ["--from", first, "--to", last or first]
    return [*days, "--dry-run" if params["dry_run"] else "--no-dry-run"]


def _form(labels: Labels) -> dict[str, Param]:
    return {
        **day_range(f"the {labels.window_days} latest days whose labels are complete"),
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Measure, publish nothing and ask for nothing."
        ),
    }


LABELS = Family("label", labels_dag, "labels.py", applies=lambda spec: spec.labels is not None)
