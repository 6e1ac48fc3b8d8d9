"""The models of an endpoint, from its configuration: where their versions come from, and what goes with each."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from lockstep.run.plan import ModelIdentity
from lockstep.serving.features.served import ServedFeatures
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.inference_log.log import InferenceLog
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.loading import Listen, load_version, resolve
from lockstep.serving.metrics import Metrics
from lockstep.serving.one_copy.fronts import OwnedModels
from lockstep.serving.repository import Source
from lockstep.serving.routing.arms import Arms
from lockstep.serving.routing.building import build_arms
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.workers.board import Wanted
from lockstep.specs.loading import find_spec
from lockstep.specs.serving_spec import ServedModel, Serving
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef, ScoringSpec

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class ModelParts:
    """What the models of one process share.

    Attributes:
        settings: Where things are.
        metrics: Of the process.
        log: Of inferences; none: nothing is kept.
        features: What they look up.
        owned: The models of the worker that holds them; none: this process does.
        cores: Of the process.
    """

    settings: Settings
    metrics: Metrics
    log: InferenceLog | None
    features: ServedFeatures
    owned: OwnedModels | None = None
    cores: int = 1

    def fleet(self, serving: Serving) -> tuple[Fleet, dict[str, Source]]:
        """Return the models, not loaded yet, and where their versions come from.

        Raises:
            SpecError: A spec is not there or invalid.
            FeatureSourceInvalid: A source of features cannot work.
        """
        slots, sources = [], {}
        for served in serving.models:
            declared = self._declared(served)
            slot = ModelSlot(declared.name, None if served.version is not None else declared.alias)
            sources[declared.name] = self._source(served, declared)
            slot.arms = self._arms(served, declared, slot)
            slots.append(slot)
        return Fleet(slots, default=serving.default), sources

    def _declared(self, served: ServedModel) -> ModelRef:
        """Return which registered model is served, and how it is scored."""
        found = served.model or self._spec(served).model
        return found.model_copy(update={"alias": served.alias}) if served.alias else found

    def _spec(self, served: ServedModel) -> ScoringSpec:
        return find_spec(self.settings.models_root, str(served.spec)).spec

    def _source(self, served: ServedModel, declared: ModelRef, *, along: bool = False) -> Source:
        """Return where versions come from; `along`: of what is tried beside the champion."""
        bound, listen = self.features.bind(served), self._listen(served, declared)
        if self.owned is not None:
            finish = partial(self.features.enrich, served=served, bound=bound)
            return self.owned.source(declared.name, finish=finish, alias=declared.alias if along else None)
        limits = LaneLimits(
            slo_s=served.slo_ms / 1000,
            batch_rows=served.batch_rows,
            slice_s=served.slice_ms / 1000,
            cores=self.cores,
            waiting_requests=served.waiting_requests,
        )

        def resolved(version: int | None) -> ModelIdentity:
            return resolve(self.settings, declared, version=version if version is not None else served.version)

        def loaded(identity: ModelIdentity) -> LoadedVersion:
            version = load_version(self.settings, identity, declared=declared, limits=limits, listen=listen)
            self.features.enrich(version, served, bound)
            version.lane.on_rows = partial(self.metrics.observe_batch, identity.name, version.number)
            return version

        return Source(resolved, loaded, follows=served.version is None)

    def _listen(self, served: ServedModel, declared: ModelRef) -> Listen | None:
        """Return what listens to the lanes of a model for the inference log."""
        if self.log is None:
            return None
        sensitive = self._spec(served).sensitive if served.spec is not None else ()
        return partial(self.log.listen, precision=declared.precision, sensitive=sensitive)

    def _arms(self, served: ServedModel, declared: ModelRef, slot: ModelSlot) -> Arms | None:
        """Return who answers and scores along beside a model, from its spec or its configuration."""
        followed = served.model_copy(update={"version": None})

        def of(alias: str) -> Source:
            return self._source(followed, declared.model_copy(update={"alias": alias}), along=True)

        read = partial(self._spec, served)
        spec = read() if served.spec is not None else None
        home, metrics = self.settings.home, self.metrics
        return build_arms(served, spec, slot=slot, source_of=of, home=home, metrics=metrics, reread=read)


def load_models(serving: Serving, fleet: Fleet, sources: Mapping[str, Source], *, posted: Mapping[str, Wanted]) -> None:
    """Load what is configured, or what the other workers were told to serve meanwhile.

    Args:
        serving: The configuration.
        fleet: Its models, in the same order.
        sources: Where their versions come from.
        posted: What the workers were told, by model.

    Raises:
        RegistryError: The registry cannot give a model, or it cannot be loaded.
    """
    for slot, served in zip(fleet, serving.models, strict=True):
        source, wanted = sources[slot.name], posted.get(slot.name)
        if wanted is not None and wanted.version is None:
            continue
        slot.current = source.load(source.resolve(wanted.version if wanted is not None else None))
        identity = slot.current.identity
        _log.info("serving model %s version %d, digest %s", identity.name, identity.version, identity.digest)
        for version in served.versions:
            if version != identity.version:
                slot.pinned[version] = source.load(source.resolve(version))
                _log.info("serving model %s version %d when asked for", identity.name, version)
