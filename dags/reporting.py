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

from lockstep.airflow import dags_from
from lockstep.airflow.reporting import REPORTING

globals().update(dags_from(families={REPORTING: __doc__}))
