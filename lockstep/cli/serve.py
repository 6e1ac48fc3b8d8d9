"""`lockstep serve`: the real-time endpoint of one or more models."""

import logging
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli.completion import complete_specs
from lockstep.cli.examples import examples
from lockstep.cli.options import ModelVersion, settings
from lockstep.run.logs import is_json

if TYPE_CHECKING:
    from lockstep.serving.assembly import Place
    from lockstep.specs.serving_spec import Serving

EXAMPLES = examples(
    "lockstep serve flight_delay",
    "lockstep serve --config serving.yaml --port 9000",
)
CONFIGURATION = "serving.json"
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_log = logging.getLogger("lockstep.serving")


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPEC]...", help="Folders below models/.", autocompletion=complete_specs),
    ] = None,
    *,
    config: Annotated[Path | None, typer.Option(help="A serving.yaml, instead of specs; options win over it.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: a free one [default: 8080].")] = None,
    grpc_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of gRPC; without it, none.")] = None,
    alias: Annotated[str | None, typer.Option(help="Serve this alias instead of the spec's.")] = None,
    model_version: ModelVersion = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes behind the port [default: 1].")] = None,
    max_body_mib: Annotated[int | None, typer.Option(min=1, help="Largest request body, in MiB [default: 16].")] = None,
    max_in_progress: Annotated[int | None, typer.Option(min=1, help="Requests at a time [default: 256].")] = None,
) -> None:
    """Serve models over HTTP: MLflow's /invocations and the Open Inference Protocol V2.

    Beyond this machine it listens only when --config says how clients are known and what protects connections.

    An alias is followed: when it moves, the new version is fetched, checked and warmed up, and takes over between two
    requests. SIGTERM or Ctrl-C: running requests finish, exit code 0.
    """
    if alias is not None and model_version is not None:
        raise typer.BadParameter("give --alias or --model-version, not both")
    if not is_json(os.environ):  # which is configured by then
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    wanted = {"host": host, "port": port, "workers": workers, "grpc_port": grpc_port}
    bounds = {"body_mib": max_body_mib, "in_progress": max_in_progress}
    serving = _configuration(names or [], config, alias=alias, version=model_version)
    limits = serving.limits.model_copy(update={name: value for name, value in bounds.items() if value is not None})
    given = {name: value for name, value in wanted.items() if value is not None}
    _run(serving.model_copy(update={**given, "limits": limits}), folder=config.parent if config else Path())


def _configuration(names: list[str], config: Path | None, *, alias: str | None, version: int | None) -> "Serving":
    from lockstep.specs.serving_spec import ServedModel, Serving, load_serving

    if (config is None) == (not names):
        raise typer.BadParameter("give one or more specs, or --config")
    if config is not None:
        if alias is not None or version is not None:
            raise typer.BadParameter("--alias and --model-version are for specs; a serving.yaml says both itself")
        return load_serving(config)
    if len(names) > 1 and version is not None:
        raise typer.BadParameter("--model-version is for one spec")
    return Serving(models=tuple(ServedModel(spec=name, alias=alias, version=version) for name in names))


def _run(serving: "Serving", *, folder: Path) -> None:
    from lockstep.serving.security.exposure import check_exposure
    from lockstep.serving.server import bind

    check_exposure(serving.host, serving.security)
    with bind(serving.host, serving.port) as sock:
        try:
            if serving.workers > 1:
                _run_workers(serving, sock, folder=folder)
            else:
                _serve(serving, sock, None, folder=folder)
        except KeyboardInterrupt:
            pass  # stopped while it was loading; nothing was in progress
    _log.info("stopped")


def _serve(serving: "Serving", sock: socket.socket, place: "Place | None", *, folder: Path) -> None:
    import uvloop

    from lockstep.serving.assembly import build_endpoint, connection_bounds_of
    from lockstep.serving.server import serve

    endpoint = build_endpoint(serving, settings(), folder=folder, place=place)
    ready, bounds = place.ready if place is not None else None, connection_bounds_of(serving)
    limits, shared = serving.limits, place is not None
    kept = serve(
        sock,
        endpoint.app,
        grpc=endpoint.grpc,
        drain_s=limits.drain_s,
        grace_s=limits.grace_s,
        bounds=bounds,
        shared=shared,
        ready=ready,
    )
    uvloop.run(kept)


def _run_workers(serving: "Serving", sock: socket.socket, *, folder: Path) -> None:
    from lockstep.serving.one_copy.choice import socket_of
    from lockstep.serving.workers.supervisor import Supervisor, starter

    with tempfile.TemporaryDirectory(prefix="lockstep-serve-") as scratch:
        shared = Path(scratch)
        if serving.copies == "one":
            socket_of(shared)  # once, and not by each worker
        (shared / CONFIGURATION).write_text(serving.model_dump_json(), encoding="utf-8")
        sock.listen()
        start = starter(shared, sock, folder=folder)
        limits = serving.limits
        code = Supervisor(serving.workers, shared, start, limits.grace_s, drain_s=limits.drain_s).run(sock)
    if code:
        raise typer.Exit(code)


def worker(shared: Path, folder: Path, index: int, descriptor: int) -> None:
    """Be one of several processes of an endpoint; started by `lockstep serve`."""
    from lockstep.serving.assembly import Place
    from lockstep.serving.one_copy.choice import settle_copies
    from lockstep.specs.serving_spec import Serving

    if not is_json(os.environ):
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    serving = Serving.model_validate_json((shared / CONFIGURATION).read_text(encoding="utf-8"))
    place = Place(shared, index, settle_copies(serving, shared, index=index))
    with socket.socket(fileno=descriptor) as sock:
        _serve(serving, sock, place, folder=folder)
