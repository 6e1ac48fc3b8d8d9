"""# Nightly scoring.

One run scores one day of data with one model version and publishes it, or publishes nothing.

`pin_model` → `plan` → `materialize` → `gate` → `score` → `audit` → `publish` → `report`

* **Which day?** The one on which the run's data interval begins. In *Trigger → Backfill*, give the first day as From
  and the day after the last as To, both at 00:00. If you change the form there, tick *Override parameters on existing
  runs*: without it Airflow ignores the form, for new runs too.
  A single run without a logical date takes the latest finished day.
* **Which model?** The alias is resolved once, in `pin_model`. Retries, and whatever you clear, keep that version;
  another *Model version* in the form, or *Choose the model again*, makes a new choice.
* **Run it again?** Safe. A day that is live with the same spec, model and input is not scored again; the tasks in
  between are skipped and `publish` records that there was nothing to do.
* **It is red?** The log of the red task ends with what failed and what to do. What was live before stays live. `report`
  is written all the same; its log names the file. Errors that a retry cannot mend are not retried.
"""

from lockstep.airflow import dags_from
from lockstep.airflow.scoring import SCORING

globals().update(dags_from(families={SCORING: __doc__}))
