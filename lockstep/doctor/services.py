"""What commands talk to: MLflow, Airflow, warehouses, ports."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.doctor.asking import NoAnswer
from lockstep.doctor.finding import Finding, ok, problem, warning
from lockstep.doctor.world import World
from lockstep.services.airflow import airflow_home, airflow_version
from lockstep.services.ports import DEFAULTS, VARIABLES, is_free, port_of
from lockstep.specs.secrets import without_secrets
from lockstep.specs.settings import WAREHOUSE_VARIABLES

SQLITE = "sqlite:///"
ON_DISK = ("duckdb", "iceberg", "delta")


def check_mlflow(world: World) -> Iterator[Finding]:
    """Does the registry answer, and has each spec's model its alias?"""
    uri, shown = world.settings.tracking_uri, without_secrets(world.settings.tracking_uri)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        yield warning(
            "mlflow", f"{shown}: no such file yet", "register a model, as `make train` does, or set MLFLOW_TRACKING_URI"
        )
        return
    models = sorted({one.spec.model.name for one in world.specs})
    answer = _probe(world, "registry", *(models or ["lockstep-doctor"]))
    if reason := answer.get("error") or answer.get("busy") or answer.get("missing"):
        yield problem(
            "mlflow",
            f"{shown}: {without_secrets(str(reason))}",
            "start the server, or set MLFLOW_TRACKING_URI to one that answers",
        )
        return
    yield ok("mlflow", f"{shown} answers")
    for one in world.specs:
        name, alias = one.spec.model.name, one.spec.model.alias
        aliases = answer.get(name)
        if aliases is None:
            yield warning(
                "mlflow", f"{one.spec.name}: no model {name!r} is registered", "register it with the alias of the spec"
            )
        elif alias not in aliases:
            known = ", ".join(sorted(aliases)) or "none"
            advice = f"`lockstep model promote {one.spec.name} --model VERSION`"
            yield problem("mlflow", f"{one.spec.name}: model {name!r} has no alias {alias!r}; it has: {known}", advice)
        else:
            yield ok("mlflow", f"{one.spec.name}: {name}@{alias} is version {aliases[alias]}")


def check_warehouses(world: World) -> Iterator[Finding]:
    """Can each warehouse that a spec names be opened, for reading?"""
    for kind in sorted({one.spec.publish.warehouse for one in world.specs}):
        place = world.settings.warehouses.get(kind, "")
        shown = f"{kind} {without_secrets(place)}"
        if not place:
            yield problem(
                "warehouse", f"{kind}: nobody said where it is", f"set {WAREHOUSE_VARIABLES[kind]} (docs/publishing.md)"
            )
            continue
        is_local = kind in ON_DISK and ":" not in place
        answer = {"tables": 0} if is_local and not Path(place).exists() else _probe(world, "warehouse", kind)
        if "missing" in answer:
            yield problem(
                "warehouse", f"{shown}: {answer['missing']}", f"install lockstep[{kind}] in the data environment"
            )
        elif "busy" in answer:
            yield warning(
                "warehouse", f"{shown}: {answer['busy']}", "wait for it; runs wait up to LOCKSTEP_WAREHOUSE_WAIT_S"
            )
        elif "error" in answer:
            advice = f"correct {WAREHOUSE_VARIABLES[kind]} or its credentials (docs/publishing.md)"
            yield problem("warehouse", f"{shown}: {without_secrets(str(answer['error']))}", advice)
        else:
            made = "" if not is_local or Path(place).exists() else "; it is made by the first publication"
            yield ok("warehouse", f"{shown}: {answer['tables']} tables{made}")


def check_airflow(world: World) -> Iterator[Finding]:
    """Is Airflow installed, and does it have a home, DAGs and a database?"""
    program = world.python("control").parent / "airflow"
    own = world.environ.get("AIRFLOW_HOME")
    if not program.is_file():
        yield warning(
            "airflow", f"{program} does not exist", "run `make setup-control`; commands at a shell need no Airflow"
        )
        return
    home = Path(own) if own else airflow_home(world.settings)
    dags = Path(world.environ.get("AIRFLOW__CORE__DAGS_FOLDER") or world.settings.project_root / "dags")
    found = f"Airflow {airflow_version(program)}, home {home}, DAGs {dags}"
    if not dags.is_dir():
        yield problem("airflow", f"{found}: no such folder", "set AIRFLOW__CORE__DAGS_FOLDER")
        return
    if not own:
        made = (world.settings.home / "postgres" / "PG_VERSION").is_file()
        yield ok("airflow", f"{found}, database: {'of' if made else 'made by'} `lockstep up`")
        return
    try:
        answer = world.asking.ask([str(world.python("control")), "-c", DATABASE])
    except NoAnswer as error:
        answer = {"error": str(error)}
    if "error" in answer:
        yield problem(
            "airflow",
            f"{found}, database: {answer['error']}",
            "start it, or correct AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        )
    else:
        yield ok("airflow", f"{found}, database: {answer['dialect']} answers")


# Errors of the driver may quote the password: only their kind is told.
DATABASE = """\
import json, sqlalchemy
from airflow.configuration import conf
url = conf.get("database", "sql_alchemy_conn")
try:
    with sqlalchemy.create_engine(url).connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    print(json.dumps({"dialect": sqlalchemy.make_url(url).get_backend_name()}))
except Exception as error:
    print(json.dumps({"error": "does not answer: " + type(error).__name__}))
"""


def check_ports(world: World) -> Iterator[Finding]:
    """Are the ports free that `lockstep up` takes?"""
    for name in DEFAULTS:
        port = port_of(name, world.layers)
        if is_free(port):
            yield ok("ports", f"{port} for {name} is free")
        else:
            advice = f"stop it, or set {VARIABLES[name]}, unless it is `lockstep up` of this project"
            yield warning("ports", f"{port} for {name} is taken by {_holder(port)}", advice)


def _holder(port: int) -> str:
    import psutil

    try:
        listening = [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port and one.pid]
        return next((f"{psutil.Process(one.pid).name()} (process {one.pid})" for one in listening), "another program")
    except (OSError, psutil.Error):
        return "another program"


def _probe(world: World, *arguments: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = world.probe(*arguments)
    except NoAnswer as error:
        return {"error": str(error)}
    return answer
