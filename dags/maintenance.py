"""# Maintenance.

Every night: run folders and old publications that the spec's `retention` does not keep are deleted.

* **What stays?** All that is live, all that a rollback could restore, and whatever is younger than `retention.days`.
* **What would it delete?** Trigger it with *Dry run*; the XCom of `vacuum` lists it.
* **It is red?** Nothing is half deleted. The log ends with what to do; the next night goes on from there.
"""

import os

from airflow.sdk import get_parsing_context
from lockstep_dags import build_all
from lockstep_upkeep import MAINTENANCE

from lockstep.specs.settings import Settings

dags, _problems = build_all(
    Settings.from_env(os.environ).models_root, {MAINTENANCE: __doc__ or ""}, only=get_parsing_context().dag_id
)
globals().update({dag.dag_id: dag for dag in dags})
