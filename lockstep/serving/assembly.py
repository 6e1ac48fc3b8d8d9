"""An endpoint put together from its configuration."""

import logging
from dataclasses import dataclass
from functools import partial

from lockstep.run.plan import ModelIdentity
from lockstep.serving import invocations, open_inference
from lockstep.serving.access_log import AccessLog
from lockstep.serving.app import Application, operations_routes
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane import LaneLimits
from lockstep.serving.loading import load_version, resolve
from lockstep.serving.metrics import Metrics
from lockstep.serving.openapi.edge import openapi_routes
from lockstep.serving.repository import Repository, Source
from lockstep.serving.repository_edge import repository_routes
from lockstep.serving.versions import LoadedVersion
from lockstep.specs.loading import find_spec
from lockstep.specs.serving_spec import ServedModel, Serving
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class Endpoint:
    """All parts of an endpoint.

    Attributes:
        app: What the server calls.
        repository: What changes the served versions.
    """

    app: Application
    repository: Repository


def build_endpoint(serving: Serving, settings: Settings) -> Endpoint:
    """Load the models of an endpoint and put its parts together.

    Args:
        serving: The configuration.
        settings: Where things are.

    Raises:
        SpecError: A spec that it names is not there or invalid.
        RegistryError: The registry cannot give a model, or it cannot be loaded.
    """
    metrics = Metrics()
    slots, sources = [], {}
    for served in serving.models:
        declared = declared_model(served, settings)
        slots.append(ModelSlot(declared.name, None if served.version is not None else declared.alias))
        sources[declared.name] = source_of(served, declared, settings)
    fleet = Fleet(slots, default=serving.default)
    for slot, served in zip(slots, serving.models, strict=True):
        _fill(slot, served, sources[slot.name])
    plane = DataPlane(fleet, metrics=metrics, limits=limits_of(serving))
    repository = Repository(fleet, sources, metrics=metrics)
    repository.tell()
    routes = [
        *invocations.invocations_routes(plane),
        *open_inference.open_inference_routes(plane),
        *repository_routes(plane, repository),
        *operations_routes(plane),
    ]
    routes += openapi_routes(plane, routes)
    beside = [partial(repository.follow, every_s=serving.follow_s)] if serving.follow_s else []
    return Endpoint(Application(plane, routes, log=AccessLog(), beside=beside), repository)


def declared_model(served: ServedModel, settings: Settings) -> ModelRef:
    """Return which registered model is served, and how it is scored."""
    found = served.model or find_spec(settings.models_root, str(served.spec)).spec.model
    return found.model_copy(update={"alias": served.alias}) if served.alias else found


def source_of(served: ServedModel, declared: ModelRef, settings: Settings) -> Source:
    """Return where the versions of a model come from."""
    limits = LaneLimits(
        slo_s=served.slo_ms / 1000,
        batch_rows=served.batch_rows,
        slice_s=served.slice_ms / 1000,
        waiting_requests=served.waiting_requests,
    )

    def resolved(version: int | None) -> ModelIdentity:
        return resolve(settings, declared, version=version if version is not None else served.version)

    def loaded(identity: ModelIdentity) -> LoadedVersion:
        return load_version(settings, identity, declared=declared, limits=limits)

    return Source(resolved, loaded, follows=served.version is None)


def limits_of(serving: Serving) -> Limits:
    """Return the bounds of the endpoint."""
    bounds = serving.limits
    return Limits(
        body_bytes=bounds.body_mib * 2**20,
        body_timeout_s=bounds.body_timeout_s,
        in_progress=bounds.in_progress,
        stuck_s=bounds.stuck_s,
    )


def _fill(slot: ModelSlot, served: ServedModel, source: Source) -> None:
    slot.current = source.load(source.resolve(None))
    identity = slot.current.identity
    _log.info("serving model %s version %d, digest %s", identity.name, identity.version, identity.digest)
    for version in served.versions:
        if version != identity.version:
            slot.pinned[version] = source.load(source.resolve(version))
            _log.info("serving model %s version %d when asked for", identity.name, version)
