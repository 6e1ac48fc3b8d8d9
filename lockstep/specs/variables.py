"""Every setting, by its environment variable: what it is, and how a settings file gives it.

The key of `lockstep.toml` is the variable in lower case without `LOCKSTEP_`: one name to know, whichever way it is set.
"""

from dataclasses import dataclass
from typing import Literal

# place: a folder, or a URL; path: on a disk; uri: perhaps sqlite:///file; names: a list too; the rest says itself.
Kind = Literal["path", "place", "uri", "text", "names", "seconds", "port"]

PREFIX = "LOCKSTEP_"
PROJECT, SETTINGS_FILE = "LOCKSTEP_PROJECT", "LOCKSTEP_SETTINGS"
# Any name may follow: LOCKSTEP_ONLINE_STORE_X is the store that a spec calls x.
ONLINE_STORE = "LOCKSTEP_ONLINE_STORE"


@dataclass(frozen=True)
class Variable:
    """A setting.

    Attributes:
        name: Environment variable.
        kind: Of its value.
        what: What it is, in a few words.
    """

    name: str
    kind: Kind
    what: str

    @property
    def key(self) -> str:
        """Its key in a settings file."""
        return self.name.removeprefix(PREFIX).lower()


VARIABLES = (
    Variable("LOCKSTEP_HOME", "path", "state; what follows is below it unless set apart"),
    Variable("LOCKSTEP_DATA", "place", "source tables"),
    Variable("LOCKSTEP_RUNS", "place", "run folders"),
    Variable("LOCKSTEP_CACHE", "path", "model artifacts of this machine"),
    Variable("LOCKSTEP_MODELS", "path", "specs"),
    Variable("LOCKSTEP_WAREHOUSE", "path", "DuckDB file"),
    Variable("LOCKSTEP_POSTGRESQL", "text", "connection string of PostgreSQL, without a password"),
    Variable("LOCKSTEP_SNOWFLAKE", "text", "connection of Snowflake's connector, by name"),
    Variable("LOCKSTEP_BIGQUERY", "text", "project and dataset of BigQuery"),
    Variable("LOCKSTEP_ICEBERG", "place", "folder of Iceberg tables, or catalog:NAME"),
    Variable("LOCKSTEP_DELTA", "place", "folder of Delta tables"),
    Variable("LOCKSTEP_WAREHOUSE_WAIT_S", "seconds", "how long to wait for a locked warehouse"),
    Variable("LOCKSTEP_PARTITION_WAIT_S", "seconds", "how long to wait for another run of the same day"),
    Variable(ONLINE_STORE, "uri", "default store for lookups by key"),
    Variable("LOCKSTEP_LOG_FORMAT", "text", "text, or json: one JSON object a line"),
    Variable("LOCKSTEP_SPARK_PROFILE", "names", "files of spark-conf/, overlays last"),
    Variable("LOCKSTEP_SPARK_ARCHIVE", "place", "what executors get (lockstep package)"),
    Variable("LOCKSTEP_SPARK_HISTORY_URL", "text", "Spark's history server"),
    Variable("LOCKSTEP_DEVICE", "text", "where models run: auto, cpu or cuda"),
    Variable("LOCKSTEP_DATA_PYTHON", "path", "interpreter of the steps"),
    Variable("LOCKSTEP_TRAINING_PYTHON", "path", "interpreter of training"),
    Variable("LOCKSTEP_CONTROL_PYTHON", "path", "Airflow's interpreter"),
    Variable("LOCKSTEP_MLFLOW_URL", "text", "where MLflow's web pages are"),
    Variable("MLFLOW_TRACKING_URI", "uri", "tracking and registry of MLflow"),
    Variable("LOCKSTEP_ACTOR", "text", "who is at work, for the ledger"),
    Variable("LOCKSTEP_AIRFLOW_PORT", "port", "port of Airflow in lockstep up"),
    Variable("LOCKSTEP_MLFLOW_PORT", "port", "port of MLflow in lockstep up"),
    Variable("LOCKSTEP_ENDPOINT_PORT", "port", "port of the endpoint in lockstep up"),
)
BY_KEY = {variable.key: variable for variable in VARIABLES}
BY_NAME = {variable.name: variable for variable in VARIABLES}
# Set where a process is started, never in a file: they say which file is read.
OF_THE_PROCESS = {
    PROJECT: "folder of jobs/, models/, spark-conf/ and of the settings file",
    SETTINGS_FILE: "settings file; without it, lockstep.toml where a command is started, else in the project folder",
}


def of_key(key: str) -> Variable | None:
    """Return the setting of a key of a settings file; None when there is no such key."""
    store = ONLINE_STORE.removeprefix(PREFIX).lower() + "_"
    if key.startswith(store) and key != store and key.isidentifier():
        return Variable(PREFIX + key.upper(), "uri", f"store that a spec calls {key.removeprefix(store)}")
    return BY_KEY.get(key)
