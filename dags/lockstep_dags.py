"""Builds a DAG from a scoring spec. Imports neither Spark, torch nor MLflow: parsing stays cheap."""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TriggerRule
from lockstep_operators import CheckOperator, PinModelOperator, PlanOperator, PublishOperator, ReportOperator
from lockstep_spark import SparkStepOperator

from lockstep.run.pools import SPARK_POOL, warehouse_pool
from lockstep.specs.loading import LoadedSpec, load_spec, spec_files
from lockstep.specs.model_choice import AS_PUBLISHED, PATTERN
from lockstep.specs.spec import ScoringSpec

SPARK_CONNECTION = "spark_default"
MAX_ACTIVE_RUNS = 4
STEP_TIMEOUT = dt.timedelta(minutes=30)
# A day that is nearly done goes before a day that has just begun.
PRIORITY = {"weight_rule": "upstream"}
RETRIES = {
    "retries": 2,
    "retry_delay": dt.timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": dt.timedelta(minutes=5),
}
RUN_FOLDER = "{{ ti.xcom_pull(task_ids='plan')['run_folder'] }}"
STRICT = "{{ '--strict' if params.checks == 'strict' else '--no-strict' }}"
MODEL_VERSION = "{{ ti.xcom_pull(task_ids='pin_model')['version'] }}"

log = logging.getLogger(__name__)


def dag_id_of(name: str) -> str:
    """Return the DAG id of the spec called `name`."""
    return f"score_{name}"


def build_all(models_root: Path, *, page: str, only: str | None = None) -> tuple[list[DAG], list[Exception]]:
    """Build the DAG of every spec; a spec that cannot be built costs no other spec its DAG.

    Args:
        models_root: Folder of the specs.
        page: Markdown that each DAG's page begins with.
        only: Build this DAG id alone (what a running task needs).

    Returns:
        The DAGs, and the problem of each spec that has none.
    """
    dags, problems = [], []
    for file in spec_files(models_root):
        if only is not None and dag_id_of(file.parent.name) != only:
            continue
        try:
            dag = scoring_dag(load_spec(file), page=page)
            dag.validate()
            dags.append(dag)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one spec must not remove the others
            log.warning("no DAG for %s: %s", file, error)
            error.add_note(f"spec file: {file}")
            problems.append(error)
    return dags, problems


def scoring_dag(loaded: LoadedSpec, *, page: str) -> DAG:
    """Build `score_<spec>`."""
    spec = loaded.spec
    zone = ZoneInfo(spec.schedule.timezone)
    last_day = spec.schedule.end
    dag = DAG(
        dag_id=dag_id_of(spec.name),
        description=" ".join(spec.description.split()),
        doc_md=f"{page}\n{_facts(spec)}",
        schedule=CronDataIntervalTimetable(spec.schedule.cron, timezone=spec.schedule.timezone),
        start_date=_moment(spec.schedule.start, dt.time.min, zone),
        end_date=_moment(last_day, dt.time.max, zone) if last_day else None,
        catchup=spec.schedule.catchup,
        max_active_runs=MAX_ACTIVE_RUNS,
        params=_params(spec),
        default_args={"owner": spec.owner, "execution_timeout": STEP_TIMEOUT, **RETRIES, **PRIORITY},
        tags=["lockstep", "scoring", spec.model.name],
        auto_register=False,
    )
    _add_tasks(dag, spec)
    return dag


def _add_tasks(dag: DAG, spec: ScoringSpec) -> None:
    with dag:
        pin = PinModelOperator(
            task_id="pin_model",
            arguments=["model", "resolve", spec.name, "--json"],
            schedule=spec.schedule,
            doc_md="Choose the model version, once for this DAG run; clearing keeps it.",
        )
        plan = PlanOperator(
            task_id="plan",
            arguments=["step", "plan", spec.name, "--model-version", MODEL_VERSION, "--json"],
            schedule=spec.schedule,
            skip_when_live=["materialize", "gate", "score", "audit"],
            doc_md="Freeze spec, model and input files of this day in `plan.json`.",
        )
        materialize = _spark("materialize", spec, doc="Run the feature query of this day and write its result.")
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
        pin >> plan >> materialize >> gate >> score >> audit >> publish >> [report, verdict]


def _spark(name: str, spec: ScoringSpec, *, doc: str) -> SparkStepOperator:
    return SparkStepOperator(
        task_id=name,
        job=name,
        run_folder=RUN_FOLDER,
        conn_id=SPARK_CONNECTION,
        pool=SPARK_POOL,
        execution_timeout=dt.timedelta(seconds=spec.limits.timeout_s),
        doc_md=doc,
    )


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
                "version that made what is live of the day."
            ),
        ),
        "date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description="For a single run: the day to score. Empty: that of the logical date. Not for backfills.",
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


def _facts(spec: ScoringSpec) -> str:
    rows: Sequence[tuple[str, str]] = (
        ("Model", f"`{spec.model.name}`, alias `{spec.model.alias}`"),
        ("Published to", f"{spec.publish.warehouse} table `{spec.publish.table}`, by `{spec.partition.column}`"),
        ("Schedule", f"`{spec.schedule.cron}` {spec.schedule.timezone}, days from {spec.schedule.start}"),
        ("Owner", spec.owner),
    )
    table = "\n".join(f"| {name} | {text} |" for name, text in rows)
    return f"## This DAG: {spec.name}\n\n{spec.description}\n\n| | |\n|---|---|\n{table}\n"


def _moment(day: dt.date, time: dt.time, zone: ZoneInfo) -> dt.datetime:
    return pendulum.instance(dt.datetime.combine(day, time, tzinfo=zone))


def iter_messages(problems: Sequence[Exception]) -> Iterator[str]:
    """Yield each problem as the text that the import error shows."""
    for problem in problems:
        yield str(problem) if str(problem).startswith("scoring spec") else f"{problem} ({', '.join(problem.__notes__)})"
