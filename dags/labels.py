"""# Labels.

Every night, and when the spec's `labels.asset` is updated: compares the published scores with what happened.

`measure` → `retrain`

* **Which days?** The latest days whose labels are complete, as many as `labels.window_days`: labels may come late. A
  day is measured again only when its rows or its labels have changed. The form takes other days.
* **Where is the result?** In the table `<table>_performance`, in the XCom of `measure`, in the report of later runs,
  and with `lockstep labels show`.
* **No labels yet?** The day is listed with 0 labelled rows, and is looked at again the next night.
* **`retrain` is skipped?** No limit of `labels.retrain` is exceeded, or a new model was asked for already. Otherwise
  the asset `retrain/<spec>` is updated: once for each breach, not every night that it goes on.
"""

from lockstep.airflow import dags_from
from lockstep.airflow.labels import LABELS

globals().update(dags_from(families={LABELS: __doc__}))
