"""The parity DAG of a spec: published scores against the endpoint's answers, in every bit."""

import datetime as dt
from typing import Any

from airflow.sdk import DAG, Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.airflow.arrivals import clock_or_assets
from lockstep.airflow.dags import Family, optional_day, spec_dag
from lockstep.airflow.step import StepOperator
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.spec import ScoringSpec


def parity_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `parity_<spec>`."""
    spec = loaded.spec
    with spec_dag(
        PARITY,
        loaded,
        page=page,
        tags=["parity"],
        description=f"Asks an endpoint for rows of {spec.publish.table}, and wants the published bits.",
        schedule=clock_or_assets(spec.parity.cron, (), timezone=spec.schedule.timezone),
        start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        params=_form(spec),
    ) as dag:
        ParityOperator(
            task_id="compare",
            arguments=["parity", spec.name, "--published", "--rows", "{{ params.rows }}", "--json"],
            doc_md="Send a sample of the rows that are live to the endpoint, in every way, and compare the bits.",
        )
    return dag


class ParityOperator(StepOperator):
    """Compares what the form names; skipped as long as nothing was published."""

    def execute(self, context: Context) -> Any:
        """Return rows, answers and differences."""
        params, options = context["params"], []
        for option, value in (("--date", params["date"]), ("--url", params["url"])):
            options += [] if value is None else [option, value]
        found = self.run_step([*self.arguments, *options])
        if found["partition"] is None:
            raise AirflowSkipException("nothing is published yet, so there is nothing to compare")
        return found


def _form(spec: ScoringSpec) -> dict[str, Param]:
    return {
        "date": optional_day("Day", "Empty: the latest that is live."),
        "rows": Param(
            spec.parity.rows,
            type="integer",
            minimum=1,
            maximum=1_000_000,
            title="Rows",
            description="How many are drawn; each is sent 16 times.",
        ),
        "url": Param(
            None,
            type=["null", "string"],
            pattern="^https?://[^\\s@]+$",
            title="Endpoint",
            description="A running one. Empty: one of its own, with the version that made the rows.",
        ),
    }


PARITY = Family("parity", parity_dag, "parity.py")
