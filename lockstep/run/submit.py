"""How a Spark job is started: one place for the command line and for the Airflow operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.specs.settings import TELEMETRY_OFF, WAREHOUSE_VARIABLES, Settings


@dataclass(frozen=True)
class SparkSubmit:
    """One spark-submit.

    Attributes:
        binary: The `spark-submit` of the data-plane environment.
        application: Script below `jobs/`.
        args: Its arguments.
        properties_file: Profile below `spark-conf/`.
        env: Environment variables that driver and workers need.
    """

    binary: Path
    application: Path
    args: tuple[str, ...]
    properties_file: Path
    env: Mapping[str, str]

    def command(self) -> list[str]:
        """Return the whole command line."""
        conf = ["--properties-file", str(self.properties_file), "--name", f"lockstep-{self.application.stem}"]
        return [str(self.binary), *conf, str(self.application), *self.args]


def data_python(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return the data-plane interpreter: `LOCKSTEP_DATA_PYTHON`, else that of `make setup`."""
    return Path(environ.get("LOCKSTEP_DATA_PYTHON", settings.project_root / ".venv" / "data" / "bin" / "python"))


def step_env(settings: Settings) -> dict[str, str]:
    """Return the variables by which a child process sees the same settings as this one."""
    return {
        **TELEMETRY_OFF,
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
        "LOCKSTEP_ACTOR": settings.actor,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "PYTHONPATH": str(settings.project_root),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }


def spark_submit(settings: Settings, job: str, args: Sequence[str], *, python: Path, java_home: Path) -> SparkSubmit:
    """Describe the spark-submit of `jobs/<job>.py`.

    Args:
        settings: Where things are; `spark_profile` names the properties file.
        job: Script name without `.py`.
        args: Arguments of the script.
        python: Data-plane interpreter, for driver and workers.
        java_home: Java 17 or newer.
    """
    return SparkSubmit(
        binary=python.parent / "spark-submit",
        application=settings.project_root / "jobs" / f"{job}.py",
        args=tuple(args),
        properties_file=settings.project_root / "spark-conf" / f"{settings.spark_profile}.conf",
        env={
            **step_env(settings),
            "JAVA_HOME": str(java_home),
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": str(python),
            "SPARK_LOCAL_DIRS": str(settings.home / "spark"),
            **({"SPARK_LOCAL_IP": "127.0.0.1"} if settings.spark_profile == "local" else {}),
            "SPARK_CONF_DIR": str(settings.project_root / "spark-conf"),
        },
    )
