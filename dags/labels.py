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

import os

from airflow.sdk import get_parsing_context
from lockstep_dags import build_all
from lockstep_labels import LABELS

from lockstep.specs.settings import Settings

dags, _problems = build_all(
    Settings.from_env(os.environ).models_root, {LABELS: __doc__ or ""}, only=get_parsing_context().dag_id
)
globals().update({dag.dag_id: dag for dag in dags})
