"""Keeps what nobody uses out of processes that are started for every task.

Airflow's Spark operator imports the whole OpenLineage client, whether OpenLineage is on or not, and does without it
where that client is missing. It is most of what importing our DAG files costs, each time one of them is parsed and each
time a task starts.
"""

import contextlib
import sys
from collections.abc import Iterator

from airflow.providers.openlineage import conf

UNUSED = "airflow.providers.openlineage.utils.spark"


@contextlib.contextmanager
def openlineage_if_on() -> Iterator[None]:
    """Let the body's imports not find OpenLineage's part for Spark, unless OpenLineage is configured."""
    if UNUSED in sys.modules or not conf.is_disabled():
        yield
        return
    sys.modules[UNUSED] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[UNUSED]
