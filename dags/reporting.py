"""# Reporting tables, computed again.

Publishing a day computes its reporting tables, in the same transaction. This DAG is for what comes later: outcomes
that were not known then, or an edited query.

* **When?** On the spec's `refresh.cron` and when an asset of `refresh.assets` is updated; else only by hand.
* **Which days?** Those that the asset's event names, or those of the form. Otherwise the last ones, as many as
  `refresh.days` says.
* **What changes?** The reporting tables only, each in one transaction. Scores stay as they are. Days without live rows
  are left out; the XCom of `refresh` lists them.
* **It is red?** The tables are as they were. The log names the query and what is wrong with it.
"""

import os

from airflow.sdk import get_parsing_context
from lockstep_dags import build_all
from lockstep_reporting import REPORTING

from lockstep.specs.settings import Settings

dags, _problems = build_all(
    Settings.from_env(os.environ).models_root, {REPORTING: __doc__ or ""}, only=get_parsing_context().dag_id
)
globals().update({dag.dag_id: dag for dag in dags})
