"""# Promotion.

Points the model's alias at another version, after a person has agreed.

`candidate` → `approve` → `promote`

* **Who is asked?** Whoever may edit the DAG: *Required Actions* in the page of the run. After a week it fails.
* **Reject** ends the run without a change.
* **What changes?** Runs that begin afterwards score with the new version. Runs under way keep theirs, rows stay.
* **Somebody else moved the alias meanwhile?** Then `promote` fails and says so: look again, and trigger anew.
* **Undo:** the DAG `rollback_...` moves alias and rows back.
"""

import os

from airflow.sdk import get_parsing_context
from lockstep_dags import build_all
from lockstep_upkeep import PROMOTION

from lockstep.specs.settings import Settings

dags, _problems = build_all(
    Settings.from_env(os.environ).models_root, {PROMOTION: __doc__ or ""}, only=get_parsing_context().dag_id
)
globals().update({dag.dag_id: dag for dag in dags})
