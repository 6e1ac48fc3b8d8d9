"""Buttons of a task's page: to the report and data docs of its run, and to the model version in MLflow.

An operator sets `pages` while it runs: the name of a link to where it leads. What it does not set has no button.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.configuration import conf

REPORT, DATA_DOCS, MODEL, SPARK = "Report", "Data docs", "Model version in MLflow", "Spark history"


class PageLink(BaseOperatorLink):
    """A button that leads where the operator said."""

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's interface
        """Return the address; empty: no button."""
        return str(getattr(operator, "pages", {}).get(self.name, ""))


class ReportLink(PageLink):
    """To `report.html`."""

    name = REPORT


class DataDocsLink(PageLink):
    """To the data docs of gate or audit."""

    name = DATA_DOCS


class ModelLink(PageLink):
    """To the registered model version."""

    name = MODEL


class SparkLink(PageLink):
    """To the Spark application, in the history server: its own pages are gone when it has ended."""

    name = SPARK


def page_of_application(history: str, application_id: str) -> str:
    """Return the address of a Spark application; empty where nobody told of a history server."""
    return f"{history.rstrip('/')}/history/{quote(application_id, safe='')}/jobs/" if history else ""


def page_of_run(dag_id: str, run_folder: str, page: str) -> str:
    """Return the address of a page of a run, which `plugin.py` serves."""
    partition, run_key = run_folder.rstrip("/").split("/")[-2:]
    path = "/".join(quote(part) for part in ("lockstep", "dags", dag_id, "runs", partition, run_key, page))
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/{path}"


def page_of_model(mlflow_pages: str, pin: Mapping[str, Any]) -> str:
    """Return the address of a model version; empty where MLflow has no pages that anybody told of."""
    name = quote(str(pin["name"]), safe="")
    return f"{mlflow_pages.rstrip('/')}/#/models/{name}/versions/{pin['version']}" if mlflow_pages else ""
