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

from lockstep.airflow import dags_from
from lockstep.airflow.training import TRAINING

globals().update(dags_from(families={TRAINING: __doc__}))
