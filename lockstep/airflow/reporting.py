"""The reporting DAG of a spec: its reporting tables, computed again.

Publication computes them for its day in its own transaction, so this DAG does not wait for the published table: it
would do the same work a second time. It waits for what changes afterwards, outcomes above all, and for people.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import DAG, Context, Param
from airflow.sdk.exceptions import AirflowFailException

from lockstep.airflow.arrivals import all_days_of, asset, clock_or_assets
from lockstep.airflow.dags import Family, day_range, spec_dag
from lockstep.airflow.step import StepOperator, failing_for_good
from lockstep.run.pools import warehouse_pool
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.spec import ScoringSpec


def reporting_dag(loaded: LoadedSpec, page: str) -> DAG:
    """Build `report_<spec>`."""
    spec = loaded.spec
    refresh = spec.refresh
    with spec_dag(
        REPORTING,
        loaded,
        page=page,
        tags=["reporting"],
        description=f"Computes the reporting tables of {spec.name} again: {', '.join(spec.reporting)}.",
        schedule=clock_or_assets(refresh.cron, refresh.assets, timezone=spec.schedule.timezone),
        start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        params={
            **day_range(f"the last {refresh.days} days"),
            "all_days": Param(False, type="boolean", title="All days", description="Every day that is live."),
        },
    ) as dag:
        RefreshOperator(
            task_id="refresh",
            arguments=["report", "refresh", spec.name, "--json"],
            trailing_days=refresh.days,
            inlets=[asset(ref) for ref in refresh.assets],
            pool=warehouse_pool(spec.publish.warehouse),
            doc_md="Compute the reporting tables of these days in one transaction for each table.",
        )
    return dag


class RefreshOperator(StepOperator):
    """Computes the days of the form, those that the assets' events name, or the last ones.

    Args:
        trailing_days: How many of the last.
    """

    def __init__(self, *, trailing_days: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trailing_days = trailing_days

    def execute(self, context: Context) -> Any:
        """Return the days, those of them without live rows, and the rows of each table."""
        options = form_options(context["params"])
        if options is None:
            with failing_for_good():
                days = all_days_of(context, self.inlets)
            options = [word for day in days for word in ("--date", day.isoformat())]
            options = options or ["--trailing", str(self.trailing_days)]
        return self.run_step([*self.arguments, *options])


def form_options(params: Mapping[str, Any]) -> Sequence[str] | None:
    """Return the command-line options of a filled form; None: it says nothing.

    Raises:
        AirflowFailException: It contradicts itself.
    """
    first, last = params["first_day"], params["last_day"]
    if params["all_days"] and (first is not None or last is not None):
        raise AirflowFailException("give either days, or all days")
    if first is None and last is not None:
        raise AirflowFailException("a last day needs a first day")
    if params["all_days"]:
        return []
    return None if first is None else ["--from", first, "--to", last or first]


def _has_tables(spec: ScoringSpec) -> bool:
    return bool(spec.reporting)


REPORTING = Family("report", reporting_dag, "reporting.py", applies=_has_tables)
