"""The task `canary` of a scoring DAG, for specs that try a challenger on some of the rows."""

from typing import Any

from airflow.sdk import Context, TriggerRule

from lockstep.airflow.step import StepOperator
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


def canary_tasks(spec: ScoringSpec, run_folder: str) -> list[CanaryOperator]:
    """Return the task of a spec that has a canary; none for any other.

    It waits for scoring and comparison and needs only the first: a comparison that failed for good must not keep the
    champion's rows from being published. Then no row is the challenger's.

    Args:
        spec: The spec.
        run_folder: Run folder (templated).
    """
    if spec.trial is None or spec.trial.canary is None:
        return []
    return [
        CanaryOperator(
            task_id="canary",
            arguments=["step", "canary", "--run-folder", run_folder, DRY_RUN, "--json"],
            trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
            doc_md="Let the challenger answer for its share of the rows, unless it broke a guardrail: then for none.",
        )
    ]
