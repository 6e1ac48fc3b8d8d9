"""Which DAG runs are ours: Airflow tells its listeners of all, and a team's Airflow has others beside them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.specs.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# Tag of every DAG of ours.
TAG = "lockstep"
# Argument of every operator of ours: the folder that the DAG's spec is in, whatever LOCKSTEP_MODELS says to the worker.
MODELS_ROOT = "models_root"


def session_of(dag_run: Any) -> "Session | None":
    """Return the session that a run of ours is in; None for runs of other DAGs, and for `airflow dags test`."""
    from airflow.models.dag import DagTag
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return None
    tagged = select(DagTag.name).where(DagTag.dag_id == dag_run.dag_id, DagTag.name == TAG)
    with session.no_autoflush:
        return session if session.scalar(tagged) is not None else None


def models_root_of(dag_run: Any) -> Path:
    """Return the folder of the specs that a run's DAG was made from; as far as Airflow knows it, else the settings'."""
    arguments = getattr(getattr(dag_run, "dag", None), "default_args", None) or {}
    named = arguments.get(MODELS_ROOT)
    return Path(named) if named else Settings.from_env(os.environ).models_root
