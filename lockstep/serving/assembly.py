"""An endpoint put together from its configuration."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lockstep.serving import invocations, open_inference
from lockstep.serving.access_log import AccessLog
from lockstep.serving.app import Application, Beside, operations_routes
from lockstep.serving.channels import cores_of_each
from lockstep.serving.connection import ConnectionBounds
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.features.served import ServedFeatures
from lockstep.serving.fleet import Fleet
from lockstep.serving.grpc.admission import admission
from lockstep.serving.grpc.server import GrpcServer, build_grpc_server
from lockstep.serving.inference_log.log import InferenceLog
from lockstep.serving.lookups import lookup_routes
from lockstep.serving.metrics import Metrics
from lockstep.serving.one_copy.choice import Copies, socket_of
from lockstep.serving.one_copy.fronts import FrontRepository, OwnedModels, owned_models
from lockstep.serving.one_copy.owner import Owner
from lockstep.serving.openapi.edge import openapi_routes
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from lockstep.serving.routing.edge import canary_routes
from lockstep.serving.routing.following import Follower
from lockstep.serving.security.assembly import Security, build_security
from lockstep.serving.security.tls import grpc_credentials
from lockstep.serving.served_models import ModelParts, load_models
from lockstep.serving.status.edge import status_routes
from lockstep.serving.tracing.assembly import build_tracing
from lockstep.serving.workers.board import READY, Board
from lockstep.serving.workers.shared_metrics import write_snapshots
from lockstep.specs.serving_spec import Serving
from lockstep.specs.settings import Settings

# How soon a worker does what another was told, and how old its numbers may be for others.
KEEP_UP_S, SNAPSHOT_S = 0.2, 1.0

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class Endpoint:
    """All parts of an endpoint.

    Attributes:
        app: What the server calls.
        repository: What changes the served versions.
        grpc: Builds the gRPC server, in the event loop; none: there is none.
    """

    app: Application
    repository: Repository
    grpc: Callable[[], GrpcServer] | None = None


@dataclass(frozen=True)
class Place:
    """Which of an endpoint's workers this process is.

    Attributes:
        folder: Shared by the workers.
        index: From 0; the first one asks the registry for all.
        copies: Whether each worker holds the models, or the first one for all.
    """

    folder: Path
    index: int
    copies: Copies = "each"

    @property
    def owned(self) -> OwnedModels | None:
        """The models of the first worker, if this one has none of its own; raises what `socket_of` does."""
        return owned_models(socket_of(self.folder)) if self.copies == "one" and self.index else None

    def ready(self) -> None:
        """Tell the supervisor that this worker answers."""
        (self.folder / READY.format(index=self.index)).touch()


def build_endpoint(serving: Serving, settings: Settings, *, folder: Path, place: Place | None = None) -> Endpoint:
    """Load the models of an endpoint and put its parts together.

    Args:
        serving: The configuration.
        settings: Where things are.
        folder: Where relative paths of `security` begin: that of the file it came from.
        place: Of this process among several; none: there is one.

    Raises:
        EnvironmentFault: A file of keys or certificates cannot be used.
        SpecError: A spec that it names is not there or invalid.
        RegistryError: The registry cannot give a model, or it cannot be loaded.
        LogUnwritable, SaltUnusable: The inference log cannot be kept as it is configured.
    """
    security = build_security(serving.security, folder=folder)
    metrics = Metrics()
    owned = place.owned if place is not None else None
    kept = None  # where the rows are scored
    if serving.log is not None and owned is None:
        kept = InferenceLog(serving.log, home=settings.home, metrics=metrics)
    features = ServedFeatures(metrics=metrics)
    scoring = 1 if place is not None and place.copies == "one" else serving.workers
    fleet, sources = ModelParts(settings, metrics, kept, features, owned, cores_of_each(scoring)).fleet(serving)
    repository = _repository(fleet, sources, metrics, place=place, owned=owned)
    load_models(serving, fleet, sources, posted=repository.posted())
    plane = DataPlane(fleet, metrics=metrics, limits=limits_of(serving))
    follower = _following(plane, repository)
    if kept is not None and fleet.ready:
        kept.check_policies()
    repository.tell()
    shared = place.folder if place is not None else None
    routes = [
        *invocations.invocations_routes(plane),
        *open_inference.open_inference_routes(plane),
        *repository_routes(plane, repository),
        *lookup_routes(plane, features.tables(serving, settings)),
        *canary_routes(plane, follower, home=settings.home),
        *operations_routes(plane, folder=shared),
        *status_routes(plane, folder=shared),
    ]
    known = serving.security.authenticates
    routes += openapi_routes(plane, routes, open_roles=security.open_roles, known=known)
    beside = [features.keep, *_beside(serving, plane, repository, follower, place)]
    if kept is not None:
        beside.append(kept.run)
    if owned is not None:
        beside.append(owned.link.run)
    elif place is not None and place.copies == "one":
        beside.append(Owner(plane, repository, path=socket_of(place.folder), logs=kept is not None).run)
    log, tracing = AccessLog(), build_tracing(serving.tracing)
    grpc = None
    if serving.grpc_port is not None:
        build = partial(build_grpc_server, log=log, tracing=tracing, share_port=place is not None)
        grpc = partial(_grpc_server, plane, repository, serving, security, build)
    app = Application(plane, routes, log=log, beside=beside, security=security, tracing=tracing)
    return Endpoint(app, repository, grpc)


def _repository(
    fleet: Fleet, sources: dict[str, Source], metrics: Metrics, *, place: Place | None, owned: OwnedModels | None
) -> Repository:
    if owned is not None:
        return FrontRepository(fleet, sources, metrics=metrics, owned=owned)
    return Repository(fleet, sources, metrics=metrics, board=Board(place.folder) if place is not None else None)


def _following(plane: DataPlane, repository: Repository) -> Follower:
    """Load what is tried beside the champions, and return what keeps it up to date."""
    plane.arms = {slot.name: slot.arms for slot in plane.fleet if slot.arms is not None}
    follower = Follower([*plane.arms.values()], rolled_back=repository.passed_over, metrics=plane.metrics)
    follower.begin()
    return follower


def _beside(  # noqa: PLR0917 - all that runs
    serving: Serving, plane: DataPlane, repository: Repository, follower: Follower, place: Place | None
) -> list[Beside]:
    """Return what runs beside the requests to keep up with the registry and with the other workers."""
    found: list[Beside] = []
    if serving.follow_s and (place is None or place.index == 0):
        found.append(partial(repository.follow, every_s=serving.follow_s))
    if serving.follow_s and plane.arms:  # each process by itself, as each has versions of its own
        found.append(partial(follower.follow, every_s=serving.follow_s))
    if place is not None:
        found.append(partial(repository.keep_up, every_s=KEEP_UP_S))
        found.append(partial(write_snapshots, place.folder, plane.metrics, every_s=SNAPSHOT_S))
    return found


def limits_of(serving: Serving) -> Limits:
    """Return the bounds of the endpoint."""
    bounds = serving.limits
    return Limits(
        body_bytes=bounds.body_mib * 2**20,
        body_timeout_s=bounds.body_timeout_s,
        arriving_bytes=bounds.arriving_mib * 2**20,
        in_progress=bounds.in_progress,
        stuck_s=bounds.stuck_s,
    )


def connection_bounds_of(serving: Serving) -> ConnectionBounds:
    """Return the bounds of the endpoint's connections."""
    return ConnectionBounds(connections=serving.limits.connections, idle_s=serving.limits.idle_s)


def _grpc_server(  # noqa: PLR0917 - all that it is made of
    plane: DataPlane, repository: Repository, serving: Serving, security: Security, build: Callable[..., GrpcServer]
) -> GrpcServer:
    section = serving.security
    tls = None
    if security.tls is not None and section.tls is not None:
        tls = grpc_credentials(security.tls, tls=section.tls, mtls=section.mtls)
    return build(
        plane,
        repository,
        host=serving.host,
        port=serving.grpc_port or 0,
        limits=plane.limits,
        credentials=tls,
        admit=admission(security, default=plane.fleet.default),
        drain_s=serving.limits.drain_s,
    )
