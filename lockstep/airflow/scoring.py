"""The scoring DAG of a spec: one run scores one day."""

import datetime as dt
import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, BaseOperator, Param, TriggerRule, chain

from lockstep.airflow.arrivals import add_further_days, timetable
from lockstep.airflow.callbacks import task_callbacks
from lockstep.airflow.canary import canary_tasks
from lockstep.airflow.dags import STEP_TIMEOUT, Family, optional_day, spec_dag
from lockstep.airflow.deadlines import deadline
from lockstep.airflow.operators import CheckOperator, PinModelOperator, PlanOperator, PublishOperator, ReportOperator
from lockstep.airflow.spark import SparkStepOperator
from lockstep.airflow.step import StepOperator
from lockstep.airflow.trials import add_trial, pin_options, plan_options, skipped_when_live
from lockstep.run.pools import SPARK_POOL, scoring_pool, warehouse_pool
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.model_choice import AS_PUBLISHED, PATTERN
from lockstep.specs.settings import Settings, device
from lockstep.specs.spec import ScoringSpec

SPARK_CONNECTION = "spark_default"
MAX_ACTIVE_RUNS = 4
RUN_FOLDER = "{{ ti.xcom_pull(task_ids='plan')['run_folder'] }}"
STRICT = "{{ '--strict' if params.checks == 'strict' else '--no-strict' }}"
# Tasks that have nothing to do when the very run is live.
BETWEEN = ("materialize", "gate", "score", "audit")
PINNED = "ti.xcom_pull(task_ids='pin_model')"
MODEL = ("--model-version", f"{{{{ {PINNED}['version'] }}}}", "--model-digest", f"{{{{ {PINNED}['digest'] }}}}")


def scoring_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `score_<spec>`."""
    spec = loaded.spec
    dag = spec_dag(
        SCORING,
        loaded,
        page=page,
        tags=["scoring"],
        description=" ".join(spec.description.split()),
        schedule=timetable(spec.schedule),
        catchup=spec.schedule.catchup,
        deadline=deadline(loaded),
        max_active_runs=MAX_ACTIVE_RUNS,
    )
    dag.default_args.update(task_callbacks(spec))
    _add_tasks(dag, spec)
    add_further_days(dag, spec.schedule)
    # After the tasks: each would get a deep copy of the form, which is a third of the parsing and never looked at.
    dag.params = _params(spec)
    return dag


def _add_tasks(dag: DAG, spec: ScoringSpec) -> None:
    with dag:
        pin = PinModelOperator(
            task_id="pin_model",
            arguments=["model", "resolve", spec.name, *pin_options(spec), "--json"],
            schedule=spec.schedule,
            doc_md="Choose the model version, once for this DAG run; clearing keeps it.",
        )
        canary = canary_tasks(spec, RUN_FOLDER)
        plan = PlanOperator(
            task_id="plan",
            arguments=["step", "plan", spec.name, *MODEL, *plan_options(spec), "--json"],
            schedule=spec.schedule,
            skip_when_live=[*BETWEEN, *skipped_when_live(spec), *(task.task_id for task in canary)],
            doc_md="Freeze spec, model and input files of this day in `plan.json`.",
        )
        materialize = _materialize(spec)
        # Gate and audit submit a Spark job of their own when there are many rows.
        patient = max(STEP_TIMEOUT, dt.timedelta(seconds=spec.limits.timeout_s))
        gate = CheckOperator(
            task_id="gate",
            stage="gate",
            run_folder=RUN_FOLDER,
            options=[STRICT],
            execution_timeout=patient,
            doc_md="Great Expectations on the input. A critical failure ends the run.",
        )
        score = _spark("score", spec, doc="Score each work unit and stage the rows.")
        audit = CheckOperator(
            task_id="audit",
            stage="audit",
            run_folder=RUN_FOLDER,
            options=[STRICT],
            execution_timeout=patient,
            doc_md="Great Expectations, invariants and drift on the staged rows.",
        )
        publish = PublishOperator(
            task_id="publish",
            plan_task="plan",
            outlets=[published_table(spec)],
            arguments=["step", "publish", "--run-folder", RUN_FOLDER, "--json"],
            doc_md="Replace the day in the warehouse, in one transaction.",
            trigger_rule=TriggerRule.NONE_FAILED,
            pool=warehouse_pool(spec.publish.warehouse),
        )
        report = ReportOperator(
            task_id="report",
            arguments=["step", "report", "--json"],
            plan_task="plan",
            trigger_rule=TriggerRule.ALL_DONE,
            doc_md="Render `report.html`, also of a run that failed.",
        )
        # The run's verdict: without this leaf, a report of a failed run would make the DAG run a success.
        verdict = EmptyOperator(task_id="published", doc_md="Reached only when the day was published.")
        chain(pin, plan, materialize, gate, score, *canary, audit, publish, [report, verdict])
        add_trial(spec, run_folder=RUN_FOLDER, score=score, before=[*canary], publish=publish, report=report)


def published_table(spec: ScoringSpec) -> Asset:
    """Return the asset that other DAGs are scheduled by."""
    table = f"{spec.publish.warehouse}/{spec.publish.table}"
    return Asset(name=table, uri=f"lockstep://{table}", group="lockstep")


def _materialize(spec: ScoringSpec) -> BaseOperator:
    """Return the task that makes the input: a Spark job for a query; a table is only listed, which needs none."""
    if spec.input.table is None:
        return _spark("materialize", spec, doc="Run the feature query of this day and write its result.")
    return StepOperator(
        task_id="materialize",
        arguments=["step", "materialize", "--run-folder", RUN_FOLDER, "--json"],
        execution_timeout=dt.timedelta(seconds=spec.limits.timeout_s),
        doc_md="List the files and rows of this day, or copy them from a database, and cut them into work units.",
    )


def _spark(name: str, spec: ScoringSpec, *, doc: str) -> SparkStepOperator:
    return SparkStepOperator(
        task_id=name,
        job=name,
        run_folder=RUN_FOLDER,
        conn_id=SPARK_CONNECTION,
        pool=SPARK_POOL if name == "materialize" else _scoring_pool(),
        execution_timeout=dt.timedelta(seconds=spec.limits.timeout_s),
        doc_md=doc,
    )


def _scoring_pool() -> str:
    return scoring_pool(device=device(os.environ), profile=Settings.from_env(os.environ).spark_profile)


def _params(spec: ScoringSpec) -> dict[str, Param]:
    """Return the form of the trigger dialog. A backfill gives all of its days the same values."""
    champion = f"@{spec.model.alias}"
    return {
        "model": Param(
            champion,
            type="string",
            pattern=PATTERN,
            examples=[champion, AS_PUBLISHED],
            title="Model version",
            description=(
                f"An alias ({champion}: what it points at when the run starts), a version (17), or {AS_PUBLISHED}: the "
                "version that made what is live of the day. In a backfill, tick 'Override parameters on existing "
                "runs': without it Airflow ignores this form, for new runs too."
            ),
        ),
        "date": optional_day(
            "Day", "For a single run: the day to score. Empty: that of the logical date. Not for backfills."
        ),
        "checks": Param(
            "normal",
            type="string",
            enum=["normal", "strict"],
            title="Checks",
            description="normal: critical checks stop the run, warnings are reported. strict: warnings stop it too.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Score and check everything, and publish nothing.",
        ),
        "fresh_model": Param(
            False,
            type="boolean",
            title="Choose the model again",
            description="For runs that exist already: do not keep the version that the run took before.",
        ),
    }


SCORING = Family("score", scoring_dag, "scoring.py")
