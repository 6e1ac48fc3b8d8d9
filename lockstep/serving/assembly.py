"""An endpoint put together from its configuration."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lockstep.run.plan import ModelIdentity
from lockstep.serving import invocations, open_inference
from lockstep.serving.access_log import AccessLog
from lockstep.serving.app import Application, Beside, operations_routes
from lockstep.serving.connection import ConnectionBounds
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.features.served import ServedFeatures
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.grpc.admission import admission
from lockstep.serving.grpc.server import GrpcServer, build_grpc_server
from lockstep.serving.inference_log.log import InferenceLog
from lockstep.serving.lane import LaneLimits
from lockstep.serving.loading import Listen, load_version, resolve
from lockstep.serving.lookups import lookup_routes
from lockstep.serving.metrics import Metrics
from lockstep.serving.openapi.edge import openapi_routes
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from lockstep.serving.security.assembly import Security, build_security
from lockstep.serving.security.tls import grpc_credentials
from lockstep.serving.status.edge import status_routes
from lockstep.serving.tracing.assembly import build_tracing
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.workers.board import READY, Board, Wanted
from lockstep.serving.workers.shared_metrics import write_snapshots
from lockstep.specs.loading import find_spec
from lockstep.specs.serving_spec import ServedModel, Serving
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef

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
    """

    folder: Path
    index: int

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
    kept = InferenceLog(serving.log, home=settings.home, metrics=metrics) if serving.log is not None else None
    slots, sources = [], {}
    features = ServedFeatures(metrics=metrics)
    for served in serving.models:
        declared = declared_model(served, settings)
        slots.append(ModelSlot(declared.name, None if served.version is not None else declared.alias))
        listen = _listen(kept, served, declared, settings)
        sources[declared.name] = source_of(
            served, declared, settings, metrics=metrics, listen=listen, features=features
        )
    fleet = Fleet(slots, default=serving.default)
    board = Board(place.folder) if place is not None else None
    posted = board.read() if board is not None else {}
    for slot, served in zip(slots, serving.models, strict=True):
        _fill(slot, served, sources[slot.name], posted.get(slot.name))
    if kept is not None and fleet.ready:
        kept.check_policies()
    plane = DataPlane(fleet, metrics=metrics, limits=limits_of(serving))
    repository = Repository(fleet, sources, metrics=metrics, board=board)
    repository.tell()
    routes = [
        *invocations.invocations_routes(plane),
        *open_inference.open_inference_routes(plane),
        *repository_routes(plane, repository),
        *lookup_routes(plane, features.tables(serving, settings)),
        *operations_routes(plane, folder=place.folder if place is not None else None),
        *status_routes(plane, folder=place.folder if place is not None else None),
    ]
    known = serving.security.authenticates
    routes += openapi_routes(plane, routes, open_roles=security.open_roles, known=known)
    beside: list[Beside] = [features.keep]
    if serving.follow_s and (place is None or place.index == 0):
        beside.append(partial(repository.follow, every_s=serving.follow_s))
    if place is not None:
        beside.append(partial(repository.keep_up, every_s=KEEP_UP_S))
        beside.append(partial(write_snapshots, place.folder, metrics, every_s=SNAPSHOT_S))
    if kept is not None:
        beside.append(kept.run)
    log, tracing = AccessLog(), build_tracing(serving.tracing)
    grpc = None
    if serving.grpc_port is not None:
        build = partial(build_grpc_server, log=log, tracing=tracing, share_port=place is not None)
        grpc = partial(_grpc_server, plane, repository, serving, security, build)
    app = Application(plane, routes, log=log, beside=beside, security=security, tracing=tracing)
    return Endpoint(app, repository, grpc)


def declared_model(served: ServedModel, settings: Settings) -> ModelRef:
    """Return which registered model is served, and how it is scored."""
    found = served.model or find_spec(settings.models_root, str(served.spec)).spec.model
    return found.model_copy(update={"alias": served.alias}) if served.alias else found


def source_of(
    served: ServedModel,
    declared: ModelRef,
    settings: Settings,
    *,
    metrics: Metrics,
    listen: Listen | None,
    features: ServedFeatures,
) -> Source:
    """Return where the versions of a model come from."""
    bound = features.bind(served)
    limits = LaneLimits(
        slo_s=served.slo_ms / 1000,
        batch_rows=served.batch_rows,
        slice_s=served.slice_ms / 1000,
        waiting_requests=served.waiting_requests,
    )

    def resolved(version: int | None) -> ModelIdentity:
        return resolve(settings, declared, version=version if version is not None else served.version)

    def loaded(identity: ModelIdentity) -> LoadedVersion:
        version = load_version(settings, identity, declared=declared, limits=limits, listen=listen)
        features.enrich(version, served, bound)
        version.lane.on_rows = partial(metrics.observe_batch, identity.name, version.number)
        return version

    return Source(resolved, loaded, follows=served.version is None)


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


def _listen(  # noqa: PLR0917
    log: InferenceLog | None, served: ServedModel, declared: ModelRef, settings: Settings
) -> Listen | None:
    """Return what listens to the lanes of a model for the inference log."""
    if log is None:
        return None
    sensitive = find_spec(settings.models_root, served.spec).spec.sensitive if served.spec is not None else ()
    return partial(log.listen, precision=declared.precision, sensitive=sensitive)


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
    )


def _fill(slot: ModelSlot, served: ServedModel, source: Source, wanted: Wanted | None) -> None:  # noqa: PLR0917
    """Load what is configured, or what the other workers were told to serve meanwhile."""
    if wanted is not None and wanted.version is None:
        return
    slot.current = source.load(source.resolve(wanted.version if wanted is not None else None))
    identity = slot.current.identity
    _log.info("serving model %s version %d, digest %s", identity.name, identity.version, identity.digest)
    for version in served.versions:
        if version != identity.version:
            slot.pinned[version] = source.load(source.resolve(version))
            _log.info("serving model %s version %d when asked for", identity.name, version)
