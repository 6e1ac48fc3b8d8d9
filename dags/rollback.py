"""# Rollback.

Trigger it to make the rows live again that were published before: of a day, a range of days, or all that a model
version made.

* **All or nothing.** First it is checked that every day can be restored; if one cannot, nothing is begun.
* **The model too?** Tick *Move the alias back too*, or the next night scores with the same version again.
* **Interrupted?** Clear the task: days that are restored already are left alone.
* **What did it do?** The XCom of `rollback` lists the days, `lockstep history TABLE` who did it and why.
"""

import os

from airflow.sdk import get_parsing_context
from lockstep_dags import build_all
from lockstep_upkeep import ROLLBACK

from lockstep.specs.settings import Settings

dags, _problems = build_all(
    Settings.from_env(os.environ).models_root, {ROLLBACK: __doc__ or ""}, only=get_parsing_context().dag_id
)
globals().update({dag.dag_id: dag for dag in dags})
