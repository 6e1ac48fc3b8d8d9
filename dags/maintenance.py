"""# Maintenance.

Every night: run folders and old publications that the spec's `retention` does not keep are deleted.

* **What stays?** All that is live, all that a rollback could restore, and whatever is younger than `retention.days`.
* **What would it delete?** Trigger it with *Dry run*; the XCom of `vacuum` lists it.
* **It is red?** Nothing is half deleted. The log ends with what to do; the next night goes on from there.
"""

from lockstep.airflow import dags_from
from lockstep.airflow.upkeep import MAINTENANCE

globals().update(dags_from(families={MAINTENANCE: __doc__}))
