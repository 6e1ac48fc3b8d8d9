"""Parses `dags/` as the DAG processor does."""

from pathlib import Path

from airflow.dag_processing.dagbag import BundleDagBag

DAGS = Path(__file__).parents[2] / "dags"


def parse() -> BundleDagBag:
    """Return the DAGs and import errors."""
    return BundleDagBag(dag_folder=str(DAGS), bundle_path=DAGS, bundle_name="dags-folder")
