"""How a Spark job is started: one place for the command line and for the Airflow operator."""

import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import lockstep
from lockstep.errors import RunFolderUnusable, SettingsError
from lockstep.run.profiles import (
    DEPLOY_MODE,
    MASTER,
    Property,
    load_profiles,
    profile_folders,
    profile_names,
    properties_text,
)
from lockstep.run.shipping import shipped_properties
from lockstep.specs.settings import TELEMETRY_OFF, WAREHOUSE_VARIABLES, Settings
from lockstep.specs.settings_file import layered
from lockstep.specs.shipped import checkout, shipped
from lockstep.specs.variables import SETTINGS_FILE

GENERATED = "set by lockstep"
# Which version of this package started a process: not a setting, the child compares (`lockstep.cli.installation`).
CALLER = "LOCKSTEP_CALLER"
DATA_PYTHON = "LOCKSTEP_DATA_PYTHON"
DATA_PYTHONS = "the bin/python of an environment with lockstep[data], on the machine that runs the tasks"
EVENT_LOG, EVENT_FOLDER = "spark.eventLog.enabled", "spark.eventLog.dir"
LOGGING = "log4j2.properties"
# What names a place of this machine alone; what a settings file says is in the other variables.
OF_THIS_HOST = ("PYTHONPATH", SETTINGS_FILE)
# How the driver gets a variable where it runs inside the cluster.
DRIVER_ENV = {"yarn": "spark.yarn.appMasterEnv.", "k8s": "spark.kubernetes.driverEnv."}


@dataclass(frozen=True)
class SparkSubmit:
    """One spark-submit.

    Attributes:
        binary: The `spark-submit` of the data-plane environment.
        application: Script below `jobs/`.
        args: Its arguments.
        properties: Of the profiles, and what follows from settings.
        folder: Where the file with them is written.
        env: Environment variables that driver and workers need.
    """

    binary: Path
    application: Path
    args: tuple[str, ...]
    properties: Mapping[str, Property]
    folder: Path
    env: Mapping[str, str]

    @property
    def properties_file(self) -> Path:
        """The file of the properties; its name follows from its content."""
        return self.folder / f"{sha256(properties_text(self.properties).encode()).hexdigest()[:16]}.conf"

    def command(self) -> list[str]:
        """Return the whole command line."""
        conf = ["--properties-file", str(self.properties_file), "--name", f"lockstep-{self.application.stem}"]
        return [str(self.binary), *conf, str(self.application), *self.args]

    def prepare(self) -> None:
        """Write the file of the properties and make the folders that Spark expects to be there. Repeatable.

        Raises:
            RunFolderUnusable: One cannot be written.
        """
        events = self.properties.get(EVENT_FOLDER)
        local_events = [Path(events.value)] if events is not None and ":/" not in events.value else []
        try:
            for folder in (self.folder, Path(self.env["SPARK_LOCAL_DIRS"]), *local_events):
                folder.mkdir(parents=True, exist_ok=True)
            # Written by others at the same time, it is the same.
            with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".partial", delete=False) as draft:
                draft.write(properties_text(self.properties))
            Path(draft.name).chmod(0o600)  # a profile may hold Spark's secret
            Path(draft.name).replace(self.properties_file)
        except OSError as error:
            raise RunFolderUnusable(str(self.folder), error.strerror or str(error)) from error


def data_python(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return the data-plane interpreter: `LOCKSTEP_DATA_PYTHON`, that of `make setup`, or this one if it has Spark.

    Raises:
        SettingsError: There is none of these.
    """
    named = layered(environ).get(DATA_PYTHON)
    made = settings.project_root / ".venv" / "data" / "bin" / "python"
    if named or checkout() is not None or made.is_file():
        return Path(named or made)
    here = Path(sys.executable)
    if not here.with_name("spark-submit").is_file():
        raise SettingsError(DATA_PYTHON, got="nothing", expected=DATA_PYTHONS)
    return here


def check_data_python(python: Path) -> Path:
    """Return the data-plane interpreter if it is there.

    Raises:
        SettingsError: It is not.
    """
    if not python.is_file():
        raise SettingsError(DATA_PYTHON, got=f"{python}, which is no file", expected=DATA_PYTHONS)
    return python


def step_env(settings: Settings) -> dict[str, str]:
    """Return the variables by which a child process sees the same settings as this one."""
    return {
        **TELEMETRY_OFF,
        CALLER: lockstep.__version__,
        "LOCKSTEP_PROJECT": str(settings.project_root),
        "LOCKSTEP_HOME": str(settings.home),
        "LOCKSTEP_DATA": str(settings.data_root),
        "LOCKSTEP_RUNS": str(settings.runs_root),
        **{WAREHOUSE_VARIABLES[kind]: location for kind, location in settings.warehouses.items() if location},
        "LOCKSTEP_WAREHOUSE_WAIT_S": str(settings.warehouse_wait_s),
        "LOCKSTEP_PARTITION_WAIT_S": str(settings.partition_wait_s),
        "LOCKSTEP_CACHE": str(settings.cache_root),
        "LOCKSTEP_MODELS": str(settings.models_root),
        "LOCKSTEP_SPARK_PROFILE": settings.spark_profile,
        "LOCKSTEP_SPARK_ARCHIVE": settings.spark_archive,
        "LOCKSTEP_ACTOR": settings.actor,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        **({"LOCKSTEP_DEVICE": settings.device} if settings.device != "auto" else {}),
        **({SETTINGS_FILE: settings.settings_file} if settings.settings_file else {}),
        # A project of one's own is no place of modules, and what is on Airflow's path is not for another interpreter.
        "PYTHONPATH": str(settings.project_root) if _has_code(settings.project_root) else "",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }


def _has_code(project_root: Path) -> bool:
    return (project_root / "lockstep" / "__init__.py").is_file()


def spark_submit(settings: Settings, job: str, args: Sequence[str], *, python: Path, java_home: Path) -> SparkSubmit:
    """Describe the spark-submit of `jobs/<job>.py`.

    Args:
        settings: Where things are; `spark_profile` names the profiles.
        job: Script name without `.py`.
        args: Arguments of the script.
        python: Data-plane interpreter, for driver and workers.
        java_home: Java 17 or newer.

    Raises:
        ProfileUnknown: A profile does not exist.
        ProfileInvalid: The profiles cannot be used together.
        ArchiveMissing: The executors are to get an archive that is not there.
    """
    folders = profile_folders(settings.project_root)
    properties = load_profiles(profile_names(settings.spark_profile), *folders)
    is_local = properties[MASTER].value.startswith("local")
    env = step_env(settings)
    return SparkSubmit(
        binary=python.parent / "spark-submit",
        application=shipped("jobs") / f"{job}.py",
        args=tuple(args),
        properties={**_generated(settings, properties, env, python=python), **properties}
        if not is_local
        else properties,
        folder=settings.home / "spark" / "profiles",
        env={
            **env,
            "JAVA_HOME": str(java_home),
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": str(python),
            "SPARK_LOCAL_DIRS": str(settings.home / "spark"),
            **({"SPARK_LOCAL_IP": "127.0.0.1"} if is_local else {}),
            "SPARK_CONF_DIR": str(next((folder for folder in folders if (folder / LOGGING).is_file()), folders[-1])),
        },
    )


def _generated(
    settings: Settings, properties: Mapping[str, Property], env: Mapping[str, str], *, python: Path
) -> dict[str, Property]:
    """Return what follows from settings and not from a profile, which may all the same set it."""
    in_cluster = properties[DEPLOY_MODE].value == "cluster" if DEPLOY_MODE in properties else False
    found = {f"spark.executorEnv.{name}": value for name, value in TELEMETRY_OFF.items()}
    found |= shipped_properties(settings, python=python, in_cluster=in_cluster)
    prefix = DRIVER_ENV.get(re.split(r"\W", properties[MASTER].value)[0])
    if in_cluster and prefix is not None:
        found |= {f"{prefix}{name}": value for name, value in env.items() if value and name not in OF_THIS_HOST}
    if EVENT_LOG in properties and properties[EVENT_LOG].value == "true":
        found[EVENT_FOLDER] = os.fspath(settings.home / "spark" / "events")
    return {key: Property(value, GENERATED) for key, value in found.items()}
