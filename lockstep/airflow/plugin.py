"""What Lockstep adds to Airflow's own processes: pages of runs in its web server, a breaker in its scheduler."""

import os
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from lockstep.airflow.breaker import BackfillBreaker
from lockstep.airflow.canary_note import CanaryNote
from lockstep.airflow.notes import FailureNotes
from lockstep.airflow.timetable import BoundedCron

URL_PREFIX = "/lockstep"
DAG_PREFIX = "score_"


class _Apps:
    """Made when the API server asks: every task's process loads plugins too, and none needs a web framework."""

    def __get__(self, _instance: object, _owner: type) -> list[dict[str, Any]]:
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
        from airflow.api_fastapi.core_api.security import requires_access_dag

        from lockstep.report.site import run_site
        from lockstep.specs.settings import Settings

        allowed = requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN)
        site = run_site(Settings.from_env(os.environ).runs_root, spec_of=spec_of, allowed=allowed)
        return [{"app": site, "url_prefix": URL_PREFIX, "name": "Lockstep runs"}]


class LockstepPlugin(AirflowPlugin):
    """Reports and data docs for whoever may see a DAG's runs; backfills that stop when they go wrong; notes."""

    name = "lockstep"
    fastapi_apps = _Apps()
    # The last one is called first: the reason comes before what follows from it.
    listeners = [BackfillBreaker(), CanaryNote(), FailureNotes()]
    timetables = [BoundedCron]


def spec_of(dag_id: str) -> str | None:
    """Return the spec of a scoring DAG; none for any other DAG."""
    return dag_id.removeprefix(DAG_PREFIX) if dag_id.startswith(DAG_PREFIX) else None
