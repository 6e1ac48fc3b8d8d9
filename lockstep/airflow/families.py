"""All families of DAGs, each with the file of `dags/` whose docstring is its page."""

from lockstep.airflow.labels import LABELS
from lockstep.airflow.parity import PARITY
from lockstep.airflow.reporting import REPORTING
from lockstep.airflow.scoring import SCORING
from lockstep.airflow.training import TRAINING
from lockstep.airflow.upkeep import MAINTENANCE, PROMOTION, ROLLBACK

FAMILIES = (SCORING, MAINTENANCE, ROLLBACK, PROMOTION, REPORTING, PARITY, TRAINING, LABELS)
