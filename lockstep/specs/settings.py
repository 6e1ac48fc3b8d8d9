"""Where things are on this machine, from environment variables over a settings file. Read once, at the edge."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lockstep.errors import SettingsError
from lockstep.specs.settings_file import Layers, layered, project_root
from lockstep.specs.variables import ONLINE_STORE, SETTINGS_FILE
from lockstep.storage.files import Location, location

# Every child process gets these: no dependency may call home.
TELEMETRY_OFF = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "SCARF_ANALYTICS": "false",
    "SCARF_NO_ANALYTICS": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
}

WAREHOUSE_VARIABLES = {
    "duckdb": "LOCKSTEP_WAREHOUSE",
    "postgresql": "LOCKSTEP_POSTGRESQL",
    "snowflake": "LOCKSTEP_SNOWFLAKE",
    "bigquery": "LOCKSTEP_BIGQUERY",
    "iceberg": "LOCKSTEP_ICEBERG",
    "delta": "LOCKSTEP_DELTA",
}
EXAMPLES = {
    "postgresql": "postgresql://user@host:5432/database",
    "snowflake": "analytics/SCORES/PUBLIC",
    "bigquery": "my-project/scores or my-project/scores/EU",
}
# A connection of the connector's configuration, database and schema.
CONNECTION = re.compile(r"[\w.-]+(/[\w$]+){0,2}", re.ASCII)
# Project, perhaps of a domain, dataset and location.
DATASET = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]*/\w+(/[A-Za-z0-9-]+)?", re.ASCII)
WEB = re.compile("https?://")
ONLINE_STORE_URL = re.compile("sqlite:///.|rediss?://.")
ONLINE_STORES = "sqlite:///path, redis://host:6379/0 or rediss://host:6379/0"
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Settings:
    """Paths and addresses of one installation.

    Attributes:
        home: State folder; everything below is beneath it unless set apart.
        project_root: Folder of `models/`, and of `spark-conf/` with profiles of your own: the repository, or yours.
        data_root: Source tables, on a disk or in an object store.
        runs_root: Run folders, likewise.
        warehouses: Location of each kind of warehouse, where it is known.
        warehouse_wait_s: How long to wait for a locked warehouse, in seconds.
        partition_wait_s: How long to wait for another run that computes the same partition, in seconds.
        online_stores: Location of each online store, by name.
        cache_root: Node cache of model artifacts.
        models_root: Scoring specs.
        tracking_uri: MLflow tracking and registry URI.
        mlflow_pages: Where MLflow's web pages are; empty: nobody said so.
        spark_profile: Names of files in a `spark-conf/`, separated by commas; overlays come last.
        spark_archive: Folder or URL of what executors get (`lockstep package`); empty: each has the environment.
        spark_history: Where Spark's history server is; empty: there is none.
        actor: Who is at work, for the ledger.
        device: Where models run: `auto`, `cpu` or `cuda`.
        settings_file: The settings file that a variable names; empty: that of the project, if there is one.
    """

    home: Path
    project_root: Path
    data_root: Location
    runs_root: Location
    warehouses: Mapping[str, str]
    warehouse_wait_s: float
    cache_root: Path
    models_root: Path
    tracking_uri: str
    spark_profile: str
    mlflow_pages: str = ""
    spark_history: str = ""
    actor: str = ""
    partition_wait_s: float = 60.0
    online_stores: Mapping[str, str] = field(default_factory=dict)
    spark_archive: str = ""
    device: str = "auto"
    settings_file: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Resolve the settings.

        Args:
            environ: Usually `os.environ`. What it leaves out, the settings file may say.

        Raises:
            SettingsError: A variable, or a key of the file, has an unusable value.
        """
        return cls._from_layers(layered(environ), project_root(environ))

    @classmethod
    def _from_layers(cls, environ: Layers, project: Path) -> "Settings":
        home = Path(environ.get("LOCKSTEP_HOME", project / "var")).absolute()
        tracking_uri = environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"

        def local(variable: str, default: Path) -> Path:
            value = environ.get(variable)
            if value is not None and "://" in value:
                raise environ.refusal(variable, got=value, expected="a path on a disk of this machine")
            return Path(value).absolute() if value else default

        def anywhere(variable: str, default: Path) -> Location:
            value = environ.get(variable)
            try:
                return location(value) if value else default
            except ValueError as error:
                got = "a URL that is not repeated here, as it may hold a secret"
                raise environ.refusal(variable, got=got, expected=str(error)) from None

        return cls(
            home=home,
            project_root=project,
            data_root=anywhere("LOCKSTEP_DATA", home / "data"),
            runs_root=anywhere("LOCKSTEP_RUNS", home / "runs"),
            warehouses={
                "duckdb": str(local(WAREHOUSE_VARIABLES["duckdb"], home / "warehouse.duckdb")),
                "postgresql": _without_password(environ, WAREHOUSE_VARIABLES["postgresql"]),
                "snowflake": _connection_name(environ, WAREHOUSE_VARIABLES["snowflake"]),
                "bigquery": _dataset(environ, WAREHOUSE_VARIABLES["bigquery"]),
                "iceberg": _catalog(environ, WAREHOUSE_VARIABLES["iceberg"]) or str(home / "iceberg"),
                "delta": str(anywhere(WAREHOUSE_VARIABLES["delta"], home / "delta")),
            },
            warehouse_wait_s=_seconds(environ, "LOCKSTEP_WAREHOUSE_WAIT_S", default=30.0),
            cache_root=local("LOCKSTEP_CACHE", home / "cache"),
            models_root=local("LOCKSTEP_MODELS", project / "models"),
            tracking_uri=tracking_uri,
            mlflow_pages=environ.get("LOCKSTEP_MLFLOW_URL") or (tracking_uri if WEB.match(tracking_uri) else ""),
            spark_profile=environ.get("LOCKSTEP_SPARK_PROFILE", "local"),
            spark_history=environ.get("LOCKSTEP_SPARK_HISTORY_URL", ""),
            actor=_actor(environ),
            partition_wait_s=_seconds(environ, "LOCKSTEP_PARTITION_WAIT_S", default=60.0),
            online_stores=_online_stores(environ, home),
            spark_archive=_without_password(environ, "LOCKSTEP_SPARK_ARCHIVE", give_it="to the platform"),
            device=device(environ),
            settings_file=str(environ.path) if environ.path and environ.get(SETTINGS_FILE) else "",
        )

    def warehouse(self, kind: str) -> str:
        """Return where the warehouse of a kind is.

        Raises:
            SettingsError: Nobody said so.
        """
        found = self.warehouses.get(kind)
        if not found:
            expected = f"where the warehouse is, such as {EXAMPLES.get(kind, 'a path')} (docs/publishing.md)"
            raise SettingsError(WAREHOUSE_VARIABLES[kind], got="", expected=expected)
        return found

    def online_store(self, name: str) -> str:
        """Return where the online store of a name is.

        Raises:
            SettingsError: Nobody said so.
        """
        found = self.online_stores.get(name.lower())
        if not found:
            raise SettingsError(f"{ONLINE_STORE}_{name.upper()}", got="", expected=ONLINE_STORES)
        return found


def device(environ: Mapping[str, str]) -> str:
    """Return LOCKSTEP_DEVICE: where models run, `auto` (a GPU if there is one), `cpu` or `cuda`.

    Raises:
        SettingsError: It is something else.
    """
    variable, layers = "LOCKSTEP_DEVICE", layered(environ)
    wanted = layers.get(variable) or "auto"
    if wanted not in DEVICES:
        raise layers.refusal(variable, got=wanted, expected=f"one of {', '.join(DEVICES)}")
    return wanted


def _online_stores(environ: Layers, home: Path) -> dict[str, str]:
    """Return where the online stores are: the default one, and those that variables name."""
    found = {"default": f"sqlite:///{home / 'online.db'}"}
    for variable, value in environ.items():
        if not value or (variable != ONLINE_STORE and not variable.startswith(f"{ONLINE_STORE}_")):
            continue
        _without_password(environ, variable, give_it="in REDISCLI_AUTH")
        if not ONLINE_STORE_URL.match(value):
            raise environ.refusal(variable, got="something else (not repeated here)", expected=ONLINE_STORES)
        found[variable.removeprefix(ONLINE_STORE).removeprefix("_").lower() or "default"] = value
    return found


def _actor(environ: Layers) -> str:
    """Return who is at work: as told, else the DAG run that Airflow names to its tasks, else the user."""
    named = environ.get("LOCKSTEP_ACTOR")
    dag, run = environ.get("AIRFLOW_CTX_DAG_ID"), environ.get("AIRFLOW_CTX_DAG_RUN_ID")
    airflow = f"airflow {dag} {run}" if dag and run else None
    return named or airflow or environ.get("USER") or f"user {os.getuid()}"


def _without_password(
    environ: Layers,
    variable: str,
    *,
    give_it: str = "in PGPASSWORD, a password file or a service file",
) -> str:
    """Return a connection string, which plans and the ledger name, so it must not hold a secret."""
    value = environ.get(variable, "")
    if urlsplit(value).password is not None or "password=" in value.lower():
        expected = f"a connection string without a password; give that {give_it}"
        raise environ.refusal(variable, got="one with a password", expected=expected)
    return value


def _connection_name(environ: Layers, variable: str) -> str:
    """Return the name of a connection; an address or a connection string, which may hold a secret, is refused."""
    value = environ.get(variable, "")
    if value and not CONNECTION.fullmatch(value):
        expected = "the name of a connection in connections.toml, perhaps with /DATABASE/SCHEMA"
        raise environ.refusal(variable, got="something else (not repeated here)", expected=expected)
    return value


def _dataset(environ: Layers, variable: str) -> str:
    """Return a dataset of BigQuery; credentials and addresses are refused, since they may hold a secret."""
    value = environ.get(variable, "")
    if value and not DATASET.fullmatch(value):
        expected = "project/dataset or project/dataset/location; credentials are Google's default ones, not set here"
        raise environ.refusal(variable, got="something else (not repeated here)", expected=expected)
    return value


def _catalog(environ: Layers, variable: str) -> str:
    """Return a folder or the name of a catalog, which is on a disk or a server; only its tables may be in a store."""
    value = environ.get(variable, "")
    if "://" in value:
        expected = (
            "a folder of this machine, or catalog:NAME for one of PyIceberg's configuration, whose `warehouse` may be "
            "a URL such as s3://bucket/folder (docs/publishing.md)"
        )
        raise environ.refusal(
            variable, got="a URL that is not repeated here, as it may hold a secret", expected=expected
        )
    return value


def _seconds(environ: Layers, variable: str, *, default: float) -> float:
    text = environ.get(variable)
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if value < 0:
        raise environ.refusal(variable, got=str(text), expected="a number of seconds, 0 or more")
    return value
