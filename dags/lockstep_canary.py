"""The task `canary` of a scoring DAG, for specs that try a challenger on some of the rows."""

from typing import Any

from airflow.sdk import DAG, Context, TriggerRule
from lockstep_step import StepOperator

from lockstep.specs.spec import ScoringSpec

DRY_RUN = "{{ '--dry-run' if params.dry_run else '--no-dry-run' }}"


class CanaryOperator(StepOperator):
    """Decides which rows the challenger answers; that it is aborted is a warning and no failure.

    Whoever wants to hear of it looks at the XCom: `outcome` is `aborted`, and `reasons` says why.
    """

    ui_color = "#fff4cc"

    def execute(self, context: Context) -> Any:
        """Return the step's summary."""
        done = super().execute(context)
        if done["outcome"] == "aborted":
            self.log.warning("the canary is aborted, the champion answers for all rows: %s", "; ".join(done["reasons"]))
        elif done["outcome"] == "off":
            self.log.info("no canary: %s", "; ".join(done["reasons"]))
        return done


def add_canary(dag: DAG, spec: ScoringSpec, *, run_folder: str) -> None:
    """Add `canary` between `compare` and `audit`, if the spec has one.

    A comparison that failed for good must not keep the champion's rows from being published: then no row is the
    challenger's. So the canary waits for scoring and comparison, and needs only the first.

    Args:
        dag: The DAG, with all other tasks.
        spec: The spec.
        run_folder: Template of the run folder.
    """
    if spec.trial is None or spec.trial.canary is None:
        return
    canary = CanaryOperator(
        task_id="canary",
        arguments=["step", "canary", "--run-folder", run_folder, DRY_RUN, "--json"],
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        doc_md="Let the challenger answer for its share of the rows, unless it broke a guardrail: then for none.",
    )
    [dag.get_task("score"), dag.get_task("compare")] >> canary >> dag.get_task("audit")
