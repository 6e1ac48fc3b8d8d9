"""`lockstep serve SPEC`: the real-time endpoint of a spec's model."""

import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli.options import ModelVersion, SpecName, loaded_spec, settings
from lockstep.run.logs import is_json

if TYPE_CHECKING:
    from lockstep.serving.data_plane import Limits
    from lockstep.specs.spec import ModelRef

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_log = logging.getLogger("lockstep.serving")


def command(
    name: SpecName,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; there is no authentication.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one (the log says which).")] = 8080,
    alias: Annotated[str | None, typer.Option(help="Serve this alias instead of the spec's.")] = None,
    model_version: ModelVersion = None,
    max_body_mib: Annotated[int, typer.Option(min=1, help="Largest request body, in MiB.")] = 16,
    max_in_progress: Annotated[int, typer.Option(min=1, help="Requests at a time; further ones get 503.")] = 256,
) -> None:
    """Serve the model of a spec over HTTP: MLflow's /invocations and the Open Inference Protocol V2.

    The alias is resolved once; the process serves that exact version until it ends (SIGTERM or Ctrl-C: running
    requests finish, exit code 0).
    """
    if alias is not None and model_version is not None:
        raise typer.BadParameter("give --alias or --model-version, not both")
    if not is_json(os.environ):  # which is configured by then
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    reference = loaded_spec(name).spec.model

    from lockstep.serving.data_plane import Limits
    from lockstep.serving.server import bind

    limits = Limits(body_bytes=max_body_mib * 2**20, in_progress=max_in_progress)
    with bind(host, port) as sock:
        if host not in LOOPBACK:
            _log.warning("listening on %s without authentication or TLS: put a gateway in front", host)
        try:
            _serve(sock, reference.model_copy(update={"alias": alias or reference.alias}), model_version, limits)
        except KeyboardInterrupt:
            pass  # stopped while it was loading; nothing was in progress
    _log.info("stopped")


def _serve(sock: socket.socket, model: "ModelRef", version: int | None, limits: "Limits") -> None:
    import uvloop

    from lockstep.serving.app import build_app
    from lockstep.serving.data_plane import DataPlane
    from lockstep.serving.fleet import Fleet, ModelSlot
    from lockstep.serving.lane import LaneLimits
    from lockstep.serving.loading import load_version, resolve
    from lockstep.serving.metrics import Metrics
    from lockstep.serving.server import serve

    identity = resolve(settings(), model, version=version)
    loaded = load_version(settings(), identity, declared=model, limits=LaneLimits())
    _log.info("serving model %s version %d, digest %s", identity.name, identity.version, identity.digest)
    fleet = Fleet([ModelSlot(identity.name, current=loaded)])
    uvloop.run(serve(sock, build_app(DataPlane(fleet, metrics=Metrics(), limits=limits))))
