"""Runs a scoring DAG to its end in this process, with Airflow's own listeners; see test_lineage.py."""

import sys

import pendulum
from airflow.utils.db import initdb

from tests.dags.bags import parse


def main() -> int:
    """Run the DAG that is named on the command line; say how it ended."""
    initdb()
    dag = parse().dags[sys.argv[1]]
    run = dag.test(logical_date=pendulum.datetime(2013, 8, 1, 4, tz="UTC"))
    print(f"state={run.state}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
