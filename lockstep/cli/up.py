"""`lockstep up`: PostgreSQL, MLflow, Airflow and the endpoint together in the foreground, with one log."""

import os
import sys
import time
from typing import Annotated, Any

import typer
from rich.table import Table

from lockstep.cli.completion import complete_specs
from lockstep.cli.examples import examples
from lockstep.cli.installation import need_checkout
from lockstep.cli.terminal import rich_console
from lockstep.services.credentials import ADMIN
from lockstep.services.log import TerminalLog
from lockstep.services.ports import DEFAULTS, VARIABLES, choose_ports
from lockstep.services.stack import Stack, start_stack, supervised
from lockstep.services.supervisor import StopRequested
from lockstep.specs.settings import Settings

INSTEAD = "Beside an Airflow of your own, `lockstep serve` starts the endpoint (docs/own-airflow.md)."
EXAMPLES = examples(
    "lockstep up",
    "lockstep up --serve text_embedding --airflow-port 8181",
)
WATCH_S = 0.2


def _port(name: str) -> Any:
    return typer.Option(min=1, max=65_535, help=f"Port of {name}; also {VARIABLES[name]}. Default {DEFAULTS[name]}.")


def command(
    serve: Annotated[
        str, typer.Option(help="Spec that the endpoint serves; empty: no endpoint.", autocompletion=complete_specs)
    ] = "flight_delay",
    airflow_port: Annotated[int | None, _port("airflow")] = None,
    mlflow_port: Annotated[int | None, _port("mlflow")] = None,
    endpoint_port: Annotated[int | None, _port("endpoint")] = None,
) -> None:
    """Start Airflow, MLflow and the endpoint on 127.0.0.1; Ctrl-C stops them all."""
    options = {"airflow": airflow_port, "mlflow": mlflow_port, "endpoint": endpoint_port}
    environ = {**os.environ, **{VARIABLES[name]: str(port) for name, port in options.items() if port is not None}}
    settings = Settings.from_env(environ)
    need_checkout("lockstep up", settings, instead=INSTEAD)
    try:
        with supervised(settings, sink=TerminalLog()) as supervisor:
            ports = choose_ports(environ, only_defaults=True)
            begin = time.monotonic()
            stack = start_stack(supervisor, settings, ports=ports, serve=serve or None)
            _show(stack, settings, seconds=time.monotonic() - begin)
            while True:
                supervisor.check()
                time.sleep(WATCH_S)
    except StopRequested:
        # Ctrl-C is how this command is meant to end.
        raise typer.Exit(0) from None


def _show(stack: Stack, settings: Settings, *, seconds: float) -> None:
    table = Table(title=f"Lockstep is up ({seconds:.0f} s). Ctrl-C stops everything.", title_justify="left")
    table.add_column("service")
    table.add_column("where")
    for name, url in stack.urls.items():
        table.add_row(name, url)
    table.add_row("Login of Airflow", f"{ADMIN} / {stack.credentials.admin_password}")
    table.add_row("", f"(also in {settings.home / 'airflow' / 'passwords.json'})")
    if not stack.has_mlflow:
        table.add_row("MLflow", "the server of MLFLOW_TRACKING_URI")
    console = rich_console(file=sys.stdout, width=None if sys.stdout.isatty() else 100)
    console.print(table)
