"""# Parity.

Takes a sample of the rows that are live, asks an endpoint to score them, and fails when one bit differs.

* **Which rows?** As many as the form says, of the day of the form or of the latest one that is live. The same day and
  number draw the same rows again.
* **Which model?** The version that made the rows. The task starts an endpoint with it for itself, unless the form names
  one that runs. An endpoint that holds another model is an error, not a difference.
* **It is red?** The log ends with how many rows differ, by how much, and examples. Scores that are live stay as they
  are. A difference means that batch and endpoint no longer compute alike: other libraries, another processor, or files
  that somebody has changed.
* **When?** Every week, or as `parity.cron` of the spec says.
"""

from lockstep.airflow import dags_from
from lockstep.airflow.parity import PARITY

globals().update(dags_from(families={PARITY: __doc__}))
