"""Airflow for one machine: its configuration, all by environment variables, and its processes."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from lockstep.run.pools import GPU_POOL, GPU_PROFILE, SPARK_POOL, TRAINING_POOL, WRITERS, warehouse_pool
from lockstep.run.profiles import profile_names
from lockstep.run.submit import CALLER, data_python, step_env
from lockstep.services.credentials import ADMIN, Credentials
from lockstep.services.errors import EnvironmentMissing
from lockstep.services.ports import LOOPBACK, Ports
from lockstep.services.process import Component
from lockstep.specs.settings import TELEMETRY_OFF, Settings
from lockstep.specs.settings_file import layered
from lockstep.specs.shipped import shipped

# Two Spark slots would fight for two cores.
POOLS = {
    SPARK_POOL: 1,
    TRAINING_POOL: 1,
    GPU_POOL: 1,
    **{warehouse_pool(kind): writers for kind, writers in WRITERS.items()},
}
PARALLELISM = 4


def pools(settings: Settings, *, gpus: int) -> dict[str, int]:
    """Return the pools of this machine and their slots.

    Args:
        settings: Its Spark profile counts: without that for GPUs, every job uses the first one.
        gpus: How many the machine has.
    """
    return {**POOLS, GPU_POOL: max(1, gpus) if GPU_PROFILE in profile_names(settings.spark_profile) else 1}


def airflow_home(settings: Settings) -> Path:
    """Return AIRFLOW_HOME: logs, passwords, nothing that is edited by hand."""
    return settings.home / "airflow"


def control_program(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return the `airflow` command of the control environment.

    Raises:
        EnvironmentMissing: `make setup` has not made it.
    """
    program = control_python(settings, environ).parent / "airflow"
    if not program.is_file():
        raise EnvironmentMissing(program, holds="Airflow")
    return program


def control_python(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return Airflow's interpreter: `LOCKSTEP_CONTROL_PYTHON`, else that of `make setup`."""
    default = settings.project_root / ".venv" / "control" / "bin" / "python"
    return Path(layered(environ).get("LOCKSTEP_CONTROL_PYTHON", default))


def airflow_version(program: Path) -> str:
    """Return the installed version of Airflow's core, read from the folder's names: no import."""
    found = sorted(program.parent.parent.glob("lib/python3*/site-packages/apache_airflow_core-*.dist-info"))
    return found[-1].name.removesuffix(".dist-info").split("-", 1)[1] if found else "unknown"


def airflow_env(
    settings: Settings, *, ports: Ports, credentials: Credentials, database_url: str, java_home: Path, tracking_uri: str
) -> dict[str, str]:
    """Return the whole environment of Airflow's processes and of the tasks they start."""
    home = airflow_home(settings)
    base = f"http://{LOOPBACK}:{ports.airflow}"
    options = {
        "CORE__DAGS_FOLDER": shipped("dags"),
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": PARALLELISM,
        "CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "CORE__FERNET_KEY": credentials.fernet_key,
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
        "DATABASE__SQL_ALCHEMY_CONN": database_url,
        "API__HOST": LOOPBACK,
        "API__PORT": ports.airflow,
        "API__BASE_URL": base,
        "API__WORKERS": 1,
        "API__SECRET_KEY": credentials.secret_key,
        "API_AUTH__JWT_SECRET": credentials.jwt_secret,
        # Each look costs tens of milliseconds of processor time, each task waits for one.
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.4,
        "SCHEDULER__ENABLE_HEALTH_CHECK": False,
        # A task of a killed machine is noticed after a minute, not after five.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
        # A new or changed spec is seen after this many seconds; parsing costs one or two of them.
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 30,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "USAGE_DATA_COLLECTION__ENABLED": False,
        "LOGGING__LOGGING_LEVEL": "INFO",
        **({} if "AIRFLOW__OPENLINEAGE__TRANSPORT" in os.environ else {"OPENLINEAGE__DISABLED": True}),
    }
    # Who is at work is the DAG run, which each task finds out, and not whoever started the services.
    shared = {name: value for name, value in step_env(settings).items() if name not in {"LOCKSTEP_ACTOR", CALLER}}
    return {
        **os.environ,
        **shared,
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
        **TELEMETRY_OFF,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_SPARK_DEFAULT": os.environ.get(
            "AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark", "host": "local[2]"})
        ),
        "MLFLOW_TRACKING_URI": tracking_uri,
        "LOCKSTEP_MLFLOW_URL": f"http://{LOOPBACK}:{ports.mlflow}",
        "LOCKSTEP_DATA_PYTHON": str(data_python(settings, os.environ)),
        "JAVA_HOME": str(java_home),
    }


def migrate_component(settings: Settings, program: Path, env: Mapping[str, str]) -> Component:
    """Return the command that creates or upgrades the metadata tables."""
    return Component("migrate", [str(program), "db", "migrate"], env, settings.project_root)


def api_server(settings: Settings, program: Path, env: Mapping[str, str], *, ports: Ports) -> Component:
    """Return the API server, which also serves the web pages."""
    return _component(settings, ["api-server"], program, env=env, port=ports.airflow, part="metadatabase")


def scheduler(settings: Settings, program: Path, env: Mapping[str, str], *, ports: Ports) -> Component:
    """Return the scheduler. Its log server is off: it would listen on all interfaces, and logs are local files."""
    arguments = ["scheduler", "--skip-serve-logs"]
    return _component(settings, arguments, program, env=env, port=ports.airflow, part="scheduler")


def dag_processor(settings: Settings, program: Path, env: Mapping[str, str], *, ports: Ports) -> Component:
    """Return the process that parses `dags/`."""
    return _component(settings, ["dag-processor"], program, env=env, port=ports.airflow, part="dag_processor")


def _component(
    settings: Settings, arguments: list[str], program: Path, *, env: Mapping[str, str], port: int, part: str
) -> Component:
    return Component(
        name=arguments[0],
        command=[str(program), *arguments],
        env=env,
        cwd=settings.project_root,
        ready=lambda: is_healthy(port, part),
        ready_timeout_s=120.0,
    )


def is_healthy(port: int, part: str) -> bool:
    """Ask Airflow's monitor whether one of its parts is healthy."""
    url = f"http://{LOOPBACK}:{port}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(url, timeout=2.0) as response:
            health = json.load(response)
    except (OSError, ValueError):
        return False
    return bool((health.get(part) or {}).get("status") == "healthy")
