"""The DAGs of a spec that a person starts, or the night: maintenance, rollback and promotion."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Context, CronTriggerTimetable, Param
from airflow.sdk.exceptions import AirflowFailException

from lockstep.airflow.dags import Family, day_range, spec_dag
from lockstep.airflow.step import StepOperator
from lockstep.run.pools import warehouse_pool
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.model_choice import FIXED_PATTERN
from lockstep.specs.spec import ScoringSpec

EVERY_NIGHT = "15 3 * * *"
DRY_RUN = "{{ '--dry-run' if params.dry_run else '--no-dry-run' }}"
APPROVAL_TIMEOUT = dt.timedelta(days=7)
CANDIDATE = "ti.xcom_pull(task_ids='candidate')"
WHICH = "An alias (@challenger) or a version (17)."
QUESTION = f"""
{{% set c = {CANDIDATE} %}}
| | |
|---|---|
| Model | `{{{{ c.name }}}}` |
| `@{{{{ c.alias }}}}` now | {{{{ 'version ' ~ c.before if c.before else 'nothing' }}}} |
| `@{{{{ c.alias }}}}` then | version {{{{ c.version }}}}, digest `{{{{ c.digest[:12] }}}}` |
| Why | {{{{ params.reason or 'not said' }}}} |

Runs that begin after the approval score with it. Nothing that is live changes.
"""


def maintenance_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `maintain_<spec>`."""
    spec = loaded.spec
    with spec_dag(
        MAINTENANCE,
        loaded,
        page=page,
        tags=["maintenance"],
        description=f"Deletes what {spec.name} no longer keeps: run folders and old publications.",
        schedule=CronTriggerTimetable(EVERY_NIGHT, timezone=spec.schedule.timezone),
        start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        params={"dry_run": _dry_run("Say what would be deleted, and delete nothing.")},
    ) as dag:
        StepOperator(
            task_id="vacuum",
            arguments=["vacuum", spec.name, DRY_RUN, "--json"],
            pool=warehouse_pool(spec.publish.warehouse),
            doc_md="Delete what the spec's `retention` does not keep. What is live or restorable stays.",
        )
    return dag


def rollback_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `rollback_<spec>`."""
    spec = loaded.spec
    with spec_dag(
        ROLLBACK,
        loaded,
        page=page,
        tags=["rollback"],
        description=f"Makes earlier rows of {spec.publish.table} live again, and the earlier model if wanted.",
        schedule=None,
        max_active_runs=1,
        params=_rollback_form(spec),
    ) as dag:
        RollbackOperator(
            task_id="rollback",
            arguments=["rollback", spec.name, "--json"],
            pool=warehouse_pool(spec.publish.warehouse),
            doc_md="Restore each day in a transaction of its own; all of it can be done, or nothing is begun.",
        )
    return dag


def promotion_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `promote_<spec>`."""
    spec = loaded.spec
    with spec_dag(
        PROMOTION,
        loaded,
        page=page,
        tags=["promotion"],
        description=f"Points @{spec.model.alias} of {spec.model.name} at another version, once a person agrees.",
        schedule=None,
        max_active_runs=1,
        params={
            "model": Param(
                "@challenger", type="string", pattern=FIXED_PATTERN, title="Which version", description=WHICH
            ),
            "reason": _reason("Shown to who is asked."),
        },
    ) as dag:
        command = ["model", "promote", spec.name, "--json"]
        candidate = StepOperator(
            task_id="candidate",
            arguments=[*command, "--model", "{{ params.model }}", "--dry-run"],
            doc_md="Resolve the version that is asked for, and what the alias points at.",
        )
        approve = ApprovalOperator(
            task_id="approve",
            subject=f"Shall {spec.model.name} version {{{{ {CANDIDATE}.version }}}} become @{spec.model.alias}?",
            body=QUESTION,
            response_timeout=APPROVAL_TIMEOUT,
            execution_timeout=None,
            doc_md="Ask a person: *Required Actions* in the page of the run. Reject ends the run without a change.",
        )
        promote = StepOperator(
            task_id="promote",
            arguments=[
                *command,
                "--model",
                f"{{{{ {CANDIDATE}.version }}}}",
                "--expect",
                f"{{{{ {CANDIDATE}.before or 0 }}}}",
            ],
            doc_md="Move the alias, unless somebody else has moved it since the question was asked.",
        )
        candidate >> approve >> promote
    return dag


class RollbackOperator(StepOperator):
    """Rolls back what the form says."""

    def execute(self, context: Context) -> Any:
        """Return the days that were restored."""
        return self.run_step([*self.arguments, *rollback_options(context["params"])])


def rollback_options(params: Mapping[str, Any]) -> list[str]:
    """Return the command-line options of a filled form.

    Raises:
        AirflowFailException: It does not say what to roll back.
    """
    first, last, version = params["first_day"], params["last_day"], params["model_version"]
    if first is None and version is None:
        raise AirflowFailException("say what to roll back: a first day, a model version, or both")
    if first is None and last is not None:
        raise AirflowFailException("a last day needs a first day")
    options = [] if first is None else ["--from", first, "--to", last or first]
    options += [] if version is None else ["--model-version", str(version)]
    options += [f"--reason={params['reason']}"] if params["reason"] else []
    return [
        *options,
        "--with-alias" if params["with_alias"] else "--no-with-alias",
        "--dry-run" if params["dry_run"] else "--no-dry-run",
    ]


def _rollback_form(spec: ScoringSpec) -> dict[str, Param]:
    return {
        **day_range("all days that the model version made"),
        "model_version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Model version",
            description="Only days whose live rows this version made. Empty: whichever made them.",
        ),
        "with_alias": Param(
            False,
            type="boolean",
            title="Move the alias back too",
            description=f"Point @{spec.model.alias} at the version whose rows are live then, so that new runs use it.",
        ),
        "reason": _reason("Kept in the ledger."),
        "dry_run": _dry_run("Say what would be restored, and change nothing."),
    }


def _reason(description: str) -> Param:
    # Nothing, not an empty text: Airflow's form takes an empty text for a missing one, and cannot be sent then.
    return Param(None, type=["null", "string"], title="Why", description=f"{description} May be left empty.")


def _dry_run(description: str) -> Param:
    return Param(False, type="boolean", title="Dry run", description=description)


MAINTENANCE = Family("maintain", maintenance_dag, "maintenance.py")
ROLLBACK = Family("rollback", rollback_dag, "rollback.py")
PROMOTION = Family("promote", promotion_dag, "promotion.py")
