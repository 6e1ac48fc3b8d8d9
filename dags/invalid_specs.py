"""Shows every broken scoring spec as an import error of this file, and defines no DAG.

Airflow drops all DAGs of a file that has an import error (in 3.3: it marks them stale and schedules none of them). So
`scoring.py`, which makes the DAGs, leaves a broken spec out, and this file raises what is wrong with it.
"""

import os

from lockstep_dags import build_all, iter_messages
from lockstep_labels import LABELS
from lockstep_parity import PARITY
from lockstep_reporting import REPORTING
from lockstep_scoring import SCORING
from lockstep_training import TRAINING
from lockstep_upkeep import MAINTENANCE, PROMOTION, ROLLBACK

from lockstep.errors import LockstepError
from lockstep.specs.settings import Settings

FAMILIES = dict.fromkeys((SCORING, MAINTENANCE, ROLLBACK, PROMOTION, REPORTING, PARITY, TRAINING, LABELS), "")

_, problems = build_all(Settings.from_env(os.environ).models_root, FAMILIES)
if problems:
    raise LockstepError("\n".join(["", *iter_messages(problems)]))
