"""All services of one home together, in the order in which they need each other."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lockstep.run.java import find_java_home, site_packages
from lockstep.run.submit import data_python
from lockstep.services import airflow
from lockstep.services.airflow_api import AirflowApi
from lockstep.services.credentials import Credentials, load_or_create
from lockstep.services.endpoint import endpoint, resolve_component
from lockstep.services.errors import CommandFailed
from lockstep.services.gpus import count_gpus
from lockstep.services.log import Sink
from lockstep.services.mlflow import mlflow_server
from lockstep.services.ports import LOOPBACK, Ports
from lockstep.services.postgres import prepare_cluster
from lockstep.services.state import ServiceState
from lockstep.services.supervisor import Supervisor
from lockstep.specs.settings import Settings

REGISTRY_EXIT_CODE = 5  # of lockstep/run/exit_codes.py


@dataclass(frozen=True)
class Stack:
    """What runs, and where.

    Attributes:
        supervisor: Watches the processes.
        ports: Where they listen.
        credentials: Login of Airflow.
        served: Spec that the endpoint serves; None: no endpoint.
        has_mlflow: Whether the MLflow server is ours.
    """

    supervisor: Supervisor
    ports: Ports
    credentials: Credentials
    served: str | None = None
    has_mlflow: bool = True

    @property
    def urls(self) -> dict[str, str]:
        """Name and address of each service for people."""
        found = {"Airflow": f"http://{LOOPBACK}:{self.ports.airflow}"}
        if self.has_mlflow:
            found["MLflow"] = f"http://{LOOPBACK}:{self.ports.mlflow}"
        if self.served is not None:
            found["Endpoint"] = f"http://{LOOPBACK}:{self.ports.endpoint}"
        return found

    def api(self) -> AirflowApi:
        """Return a client of Airflow's REST API."""
        return AirflowApi(self.ports.airflow, self.credentials.admin_password)


@contextlib.contextmanager
def supervised(settings: Settings, *, sink: Sink) -> Iterator[Supervisor]:
    """Hold the home's lock, and stop at the end whatever was started meanwhile."""
    with Supervisor(ServiceState(settings.home), sink=sink).supervising() as supervisor:
        yield supervisor


def start_stack(
    supervisor: Supervisor, settings: Settings, *, ports: Ports, serve: str | None, with_mlflow: bool = True
) -> Stack:
    """Start everything and wait until it is healthy.

    Args:
        supervisor: That of `supervised`.
        settings: Where things are.
        ports: Where to listen.
        serve: Spec that the endpoint shall serve, if its model is registered.
        with_mlflow: Whether people want to look at MLflow; no step needs its server.
    """
    program = airflow.control_program(settings, os.environ)
    python = data_python(settings, os.environ)
    java_home = find_java_home(os.environ, cache_root=settings.cache_root, package_roots=site_packages(python))
    credentials, are_new = load_or_create(airflow.airflow_home(settings))
    cluster, is_new = prepare_cluster(
        settings.home / "postgres",
        password=credentials.postgres_password,
        is_new_password=are_new,
        port=ports.postgres,
    )
    stack = Stack(supervisor, ports, credentials)
    supervisor.urls = list(stack.urls.values())
    supervisor.start([cluster.component()])
    supervisor.wait_ready()
    env = airflow.airflow_env(
        settings,
        ports=ports,
        credentials=credentials,
        database_url=cluster.url,
        java_home=java_home,
        tracking_uri=settings.tracking_uri,
    )
    _migrate(supervisor, settings, env, is_new=is_new)
    mlflow = mlflow_server(settings, ports=ports) if with_mlflow else None
    supervisor.start([*([mlflow] if mlflow else []), airflow.api_server(settings, program, env, ports=ports)])
    served = serve if serve is not None and _is_registered(supervisor, settings, serve) else None
    # One stage, because its members are stopped together: waiting for running tasks takes the longest.
    supervisor.start(
        [
            airflow.scheduler(settings, program, env, ports=ports),
            airflow.dag_processor(settings, program, env, ports=ports),
            *([endpoint(settings, served, ports=ports)] if served is not None else []),
        ]
    )
    supervisor.wait_ready()
    stack = replace(stack, served=served, has_mlflow=mlflow is not None)
    for name, slots in airflow.pools(settings, gpus=count_gpus()).items():
        stack.api().ensure_pool(name, slots)
    return stack


def _migrate(supervisor: Supervisor, settings: Settings, env: dict[str, str], *, is_new: bool) -> None:
    """Run Airflow's migration when the database is new or Airflow was upgraded: it takes some seconds."""
    program = airflow.control_program(settings, os.environ)
    marker = airflow.airflow_home(settings) / "migrated.json"
    version = airflow.airflow_version(program)
    if not is_new and marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == version:
        return
    marker.unlink(missing_ok=True)
    supervisor.run(airflow.migrate_component(settings, program, env), what="airflow db migrate")
    marker.write_text(json.dumps(version), encoding="utf-8")


def _is_registered(supervisor: Supervisor, settings: Settings, spec: str) -> bool:
    """Whether the endpoint has something to serve; says so if not."""
    try:
        supervisor.run(resolve_component(settings, spec), what="model resolve")
    except CommandFailed as error:
        unknown = f"the model of {spec!r} is not registered yet (`make demo` trains and registers it)"
        supervisor.say(f"no endpoint: {unknown if error.exit_code == REGISTRY_EXIT_CODE else error}")
        return False
    return True
