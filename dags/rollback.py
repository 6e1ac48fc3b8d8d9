"""# Rollback.

Trigger it to make the rows live again that were published before: of a day, a range of days, or all that a model
version made.

* **All or nothing.** First it is checked that every day can be restored; if one cannot, nothing is begun.
* **The model too?** Tick *Move the alias back too*, or the next night scores with the same version again.
* **Interrupted?** Clear the task: days that are restored already are left alone.
* **What did it do?** The XCom of `rollback` lists the days, `lockstep history TABLE` who did it and why.
"""

from lockstep.airflow import dags_from
from lockstep.airflow.upkeep import ROLLBACK

globals().update(dags_from(families={ROLLBACK: __doc__}))
