"""# Training.

Trains the model on other days and registers the result as a challenger. Nothing scores with it until a person says so.

`training_set` → `train` → `candidate`

* **Which days?** Those of the form, else those of the spec, else the latest whose outcomes are known. The days after
  the last training day are for validation.
* **What changes?** The registry has one version more, under the alias that `training.alias` names. Champion, scores and
  tables stay as they are. The same data, code and parameters register nothing twice.
* **And then?** Look at the version (button of `candidate`), then trigger `promote_...`.
* **When?** By hand, by `training.cron`, and when something updates the asset `lockstep://retrain/<spec>`.
* **It is red?** The log ends with what failed. Killing or clearing the task stops the training at once.
"""

import os

from airflow.sdk import get_parsing_context
from lockstep_dags import build_all
from lockstep_training import TRAINING

from lockstep.specs.settings import Settings

dags, _problems = build_all(
    Settings.from_env(os.environ).models_root, {TRAINING: __doc__ or ""}, only=get_parsing_context().dag_id
)
globals().update({dag.dag_id: dag for dag in dags})
