"""The operators of the tasks of a scoring DAG, but for the Spark jobs (`spark.py`)."""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.airflow.arrivals import days_of
from lockstep.airflow.links import (
    DATA_DOCS,
    MODEL,
    REPORT,
    DataDocsLink,
    ModelLink,
    ReportLink,
    page_of_model,
    page_of_run,
)
from lockstep.airflow.step import StepOperator, failing_for_good
from lockstep.errors import DateInvalid
from lockstep.run.interval import partition_of_run
from lockstep.run.partition import parse_partition
from lockstep.run.pins import Pin, read_pin, write_pin
from lockstep.specs.settings import Settings
from lockstep.specs.spec import Schedule


class PinModelOperator(StepOperator):
    """Chooses the model version of a DAG run, once: its XCom is what all other tasks use.

    The version is kept beside the run folders, so clearing tasks, or the whole run, does not change it. Asking for
    another one does, and so does the parameter `fresh_model`.

    Args:
        schedule: The spec's schedule, which turns the run's dates into a day.
    """

    operator_extra_links: ClassVar[Sequence[Any]] = (ModelLink(),)

    def __init__(self, *, schedule: Schedule, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schedule_of_spec = schedule

    def execute(self, context: Context) -> Any:
        """Return `{"name", "version", "digest", "asked", "pinned_at"}`."""
        settings = Settings.from_env(os.environ)
        params, dag_run, home = context["params"], context["dag_run"], settings.home
        asked, partition = params["model"], asked_partition(self.schedule_of_spec, context)
        with failing_for_good():
            pin = read_pin(home, dag_run.dag_id, dag_run.run_id)
        if pin is not None and pin.asked == asked and not params["fresh_model"]:
            self.log.info("this DAG run took %s version %s at %s and keeps it", pin.name, pin.version, pin.pinned_at)
        else:
            facts = self.run_step([*self.arguments, "--model", asked, "--date", partition.isoformat()])
            now = dt.datetime.now(dt.UTC)
            pin = Pin(dag_id=dag_run.dag_id, run_id=dag_run.run_id, asked=asked, pinned_at=now, **facts)
            with failing_for_good():
                write_pin(home, pin)
            self.log.info("%s is %s version %s, for this DAG run from now on", asked, pin.name, pin.version)
        facts = pin.model_dump(mode="json", exclude={"dag_id", "run_id"})
        self.pages = {MODEL: page_of_model(settings.mlflow_pages, facts)}
        return facts


class PlanOperator(StepOperator, SkipMixin):
    """Freezes the run of one day; skips the tasks between plan and publish when that very run is live already.

    Args:
        schedule: The spec's schedule, which turns the run's dates into a day.
        skip_when_live: Tasks that have nothing to do then.
    """

    inherits_from_skipmixin = True

    def __init__(self, *, schedule: Schedule, skip_when_live: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schedule_of_spec = schedule
        self.skip_when_live = list(skip_when_live)

    def execute(self, context: Context) -> Any:
        """Return what `lockstep step plan` says; the run folder in it is all that the next tasks need."""
        partition = asked_partition(self.schedule_of_spec, context)
        self.log.info("this run scores the partition %s", partition)
        outcome = self.run_step([*self.arguments, "--date", partition.isoformat()])
        if outcome["already_live"]:
            self.log.info("run %s is live already: nothing to score", outcome["run_key"])
            context["ti"].xcom_push(key="return_value", value=outcome)
            dag = context["dag"]
            self.skip(ti=context["ti"], tasks=[dag.get_task(task) for task in self.skip_when_live])
        return outcome


class CheckOperator(StepOperator):
    """Runs gate or audit, and leads to its data docs, also when it fails.

    Args:
        stage: `gate` or `audit`.
        run_folder: Run folder (templated).
        options: Further options of the command (templated).
    """

    operator_extra_links: ClassVar[Sequence[Any]] = (DataDocsLink(),)

    def __init__(self, *, stage: str, run_folder: str, options: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(arguments=["step", stage, "--run-folder", run_folder, *options, "--json"], **kwargs)
        self.stage = stage

    def execute(self, context: Context) -> Any:
        """Return the step's summary."""
        folder = self.arguments[self.arguments.index("--run-folder") + 1]
        page = f"gx/{self.stage}/index.html"
        self.pages = {DATA_DOCS: page_of_run(context["dag_run"].dag_id, folder, page)}
        return super().execute(context)


class PublishOperator(StepOperator):
    """Makes the rows live, unless the run is a trial; DAGs that are scheduled by the table learn which day it was.

    Args:
        plan_task: Task whose XCom says what the run is.
    """

    def __init__(self, *, plan_task: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task = plan_task

    def execute(self, context: Context) -> Any:
        """Return the step's summary; a dry run ends here, with its checks done and nothing changed."""
        if context["params"]["dry_run"]:
            raise AirflowSkipException("dry run: everything was checked, and nothing is published")
        done = super().execute(context)
        plan = context["ti"].xcom_pull(task_ids=self.plan_task)
        facts = {name: plan[name] for name in ("partition", "run_key", "model_version")}
        for table in self.outlets:
            context["outlet_events"][table].extra = {**facts, "outcome": done["outcome"], "rows": done["rows"]}
        return done


class ReportOperator(StepOperator):
    """Renders the report of whatever happened; skipped when there is no plan to report about."""

    template_fields: ClassVar[Sequence[str]] = ()
    operator_extra_links: ClassVar[Sequence[Any]] = (ReportLink(),)

    def __init__(self, *, plan_task: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task = plan_task

    def execute(self, context: Context) -> Any:
        """Return the step's summary."""
        plan = context["ti"].xcom_pull(task_ids=self.plan_task)
        if not plan:
            raise AirflowSkipException("there is no plan, so there is no run to report about")
        self.log.info("run folder: %s", plan["run_folder"])
        self.pages = {REPORT: page_of_run(context["dag_run"].dag_id, plan["run_folder"], "report.html")}
        return self.run_step([*self.arguments, "--run-folder", plan["run_folder"]])


def asked_partition(schedule: Schedule, context: Mapping[str, Any]) -> dt.date:
    """Return the day that the DAG run of a task's context scores.

    Raises:
        AirflowFailException: It cannot be scored, or a backfill or a schedule was given one day for all of its runs.
    """
    dag_run, date = context["dag_run"], context["params"]["date"]
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    manual = kind not in ("scheduled", "backfill")
    with failing_for_good():
        asked = None if date is None else parse_partition(date)
        if asked is not None and not manual:
            advice = "leave 'date' empty: the days of a backfill are From and To"
            raise DateInvalid(
                asked.isoformat(), problem=f"was given to a {kind} run, which has its own day", advice=advice
            )
        if asked is None and (days := days_of(context)):
            asked = days[-1]
        now = dt.datetime.now(dt.UTC)
        return partition_of_run(schedule, logical_date=dag_run.logical_date, manual=manual, now=now, asked=asked)
