"""`lockstep gateway`: the configuration of nginx or Envoy in front of replicas of the endpoint."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli.examples import examples

if TYPE_CHECKING:
    from lockstep.serving.gateway.facts import GatewayFacts

app = typer.Typer(help="What stands in front of replicas of the endpoint.", no_args_is_help=True)

Config = Annotated[Path, typer.Option(help="The serving.yaml of the replicas.")]
Replicas = Annotated[
    list[str],
    typer.Option(metavar="HOST[:PORT[:GRPC_PORT]]", help="A replica; ports as in serving.yaml; to be repeated."),
]
Output = Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write it; relative paths begin there.")]


@app.callback()
def group() -> None:
    """What stands in front of replicas of the endpoint."""


@app.command(
    epilog=examples(
        "lockstep gateway nginx --config serving.yaml --replica 10.0.0.1 --replica 10.0.0.2 --output gateway",
    )
)
def nginx(*, config: Config, replica: Replicas, output: Output) -> None:
    """Write nginx.conf."""
    from lockstep.serving.gateway.nginx import render_nginx

    _write(render_nginx, config, replica, output=output)


@app.command(
    epilog=examples(
        "lockstep gateway envoy --config serving.yaml --replica 10.0.0.1 --replica 10.0.0.2 --output gateway",
    )
)
def envoy(*, config: Config, replica: Replicas, output: Output) -> None:
    """Write envoy.yaml."""
    from lockstep.serving.gateway.envoy import render_envoy

    _write(render_envoy, config, replica, output=output)


def _write(
    render: "Callable[[GatewayFacts], Mapping[str, str]]", config: Path, replicas: list[str], *, output: Path
) -> None:
    from lockstep.serving.gateway.errors import OutputUnwritable
    from lockstep.serving.gateway.facts import gateway_facts
    from lockstep.specs.serving_spec import load_serving

    serving = load_serving(config)
    files = render(gateway_facts(serving, replicas, config=config, output=output))
    for name, text in files.items():
        try:
            output.mkdir(parents=True, exist_ok=True)
            (output / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputUnwritable(output / name, reason=error.strerror or type(error).__name__) from error
        print(output / name)
    if not serving.limits.drain_s:
        print(
            f"{config} has no limits.drain_s: a replica that stops refuses requests at once, which the gateway passes "
            "on. Say, for example, limits: {drain_s: 5}, before you roll replicas.",
            file=sys.stderr,
        )
