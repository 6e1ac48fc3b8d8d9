"""# Promotion.

Points the model's alias at another version, after a person has agreed.

`candidate` → `approve` → `promote`

* **Who is asked?** Whoever may edit the DAG: *Required Actions* in the page of the run. After a week it fails.
* **Reject** ends the run without a change.
* **What changes?** Runs that begin afterwards score with the new version. Runs under way keep theirs, rows stay.
* **Somebody else moved the alias meanwhile?** Then `promote` fails and says so: look again, and trigger anew.
* **Undo:** the DAG `rollback_...` moves alias and rows back.
"""

from lockstep.airflow import dags_from
from lockstep.airflow.upkeep import PROMOTION

globals().update(dags_from(families={PROMOTION: __doc__}))
