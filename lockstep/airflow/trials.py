"""The tasks of models on trial, in the scoring DAG of a spec that has any.

Neither is a leaf, and no task that publishes waits for them: whatever a challenger does is seen as a red task of a run
that succeeds. Only a canary needs the comparison before anything is published.
"""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.airflow.step import StepOperator
from lockstep.run.pools import warehouse_pool
from lockstep.specs.spec import ScoringSpec

CHALLENGERS = "{{ (ti.xcom_pull(task_ids='pin_model').get('challengers') or {}) | tojson }}"


class ShadowOperator(StepOperator):
    """Publishes the challengers' rows, unless the run is a dry run."""

    def execute(self, context: Context) -> Any:
        """Return the step's summary."""
        if context["params"]["dry_run"]:
            raise AirflowSkipException("dry run: the challengers were compared, and nothing is published")
        return super().execute(context)


def pin_options(spec: ScoringSpec) -> list[str]:
    """Return the options by which `model resolve` chooses the challengers' versions too."""
    return ["--challengers"] if spec.trial is not None else []


def plan_options(spec: ScoringSpec) -> list[str]:
    """Return the options by which `step plan` takes the versions that were chosen."""
    return ["--challengers", CHALLENGERS] if spec.trial is not None else []


def skipped_when_live(spec: ScoringSpec) -> list[str]:
    """Return the tasks that have nothing to do when the day is live already."""
    return ["compare"] if spec.trial is not None else []


def add_trial(
    spec: ScoringSpec,
    *,
    run_folder: str,
    score: BaseOperator,
    before: Sequence[BaseOperator],
    publish: BaseOperator,
    report: BaseOperator,
) -> None:
    """Add `compare` and `shadow` to the DAG that is being built, if the spec has challengers.

    Args:
        spec: The spec.
        run_folder: Template of the run folder.
        score: Task before the comparison.
        before: Tasks that need the comparison.
        publish: Task before the shadows.
        report: Task that tells of both.
    """
    if spec.trial is None:
        return
    compare = StepOperator(
        task_id="compare",
        arguments=["step", "compare", "--run-folder", run_folder, "--json"],
        doc_md="Compare the challengers' scores with the champion's; the summary is the XCom.",
    )
    shadow = ShadowOperator(
        task_id="shadow",
        arguments=["step", "shadow", "--run-folder", run_folder, "--json"],
        doc_md="Publish the challengers' rows to their shadow tables. The published table is not touched.",
        trigger_rule=TriggerRule.NONE_FAILED,
        pool=warehouse_pool(spec.publish.warehouse),
    )
    score >> compare >> [*before, shadow]
    publish >> shadow >> report
