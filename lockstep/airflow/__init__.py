"""Airflow: a DAG for each spec of a folder. `dags_from` in a file of the DAG folder is all that it takes.

Importing this costs nothing: Airflow's processes load the plugin beside it, which needs none of the DAGs.
"""

from lockstep.airflow.folder import dags_from, raise_for_missing_dags

__all__ = ["dags_from", "raise_for_missing_dags"]
