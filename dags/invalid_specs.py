"""Shows every broken scoring spec as an import error of this file, and defines no DAG.

Airflow drops all DAGs of a file that has an import error (in 3.3: it marks them stale and schedules none of them). So
`scoring.py` and the others, which make the DAGs, leave a broken spec out, and this file raises what is wrong with it.
"""

from lockstep.airflow import raise_for_missing_dags

raise_for_missing_dags()
