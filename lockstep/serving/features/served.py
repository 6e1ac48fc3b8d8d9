"""What the models of an endpoint look up, from its configuration."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from lockstep.errors import SpecError
from lockstep.serving.features.bindings import asked_signature, bound_sources
from lockstep.serving.features.enricher import Enricher
from lockstep.serving.features.enrichment import BoundSource
from lockstep.serving.features.lookup import OnlineReader
from lockstep.serving.features.readers import open_reader
from lockstep.serving.features.source import FeatureSource
from lockstep.serving.lookups import LookupTable
from lockstep.serving.metrics import Metrics
from lockstep.serving.versions import LoadedVersion
from lockstep.specs.loading import SPEC_FILE, find_spec
from lockstep.specs.serving_spec import ServedModel, Serving
from lockstep.specs.settings import Settings

if TYPE_CHECKING:
    from lockstep.specs.features_spec import FeatureBinding

Closed = FeatureSource | OnlineReader


class ServedFeatures:
    """The sources of an endpoint's models; what is opened is closed by `keep`."""

    def __init__(self, *, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open: list[Closed] = []

    def bind(self, served: ServedModel) -> tuple[BoundSource, ...]:
        """Return the sources of a model; raises what `bound_sources` does."""
        bound = bound_sources(served.features)
        self._open += [one.source for one in bound]
        return bound

    def enrich(self, version: LoadedVersion, served: ServedModel, bound: Sequence[BoundSource]) -> None:
        """Let a version fill in what requests do not bring.

        Raises:
            FeatureSourceInvalid: The version takes no such inputs.
        """
        if not bound:
            return
        bindings: Sequence[FeatureBinding] = served.features
        wanted = version.scorer.signature
        asked = asked_signature(wanted, bindings, title=version.title)
        tell = partial(self._count, version.identity.name)
        version.enricher = Enricher(bound, asked=asked, wanted=wanted, slo_s=served.slo_ms / 1000, tell=tell)
        version.identity = version.identity.model_copy(update={"inputs": asked.inputs})

    def _count(self, model: str, feature: str, state: str, use: str, rows: int) -> None:  # noqa: PLR0917
        self._metrics.add("lockstep_features", model, feature, state, use, value=rows)

    def tables(self, serving: Serving, settings: Settings) -> dict[str, LookupTable]:
        """Return where published predictions are looked up, by registered model.

        Raises:
            SpecError: A spec loads no online store.
            SettingsError: Nobody said where its store is.
            OnlineClientMissing: The client of this kind of store is not installed.
        """
        found: dict[str, LookupTable] = {}
        for served in serving.models:
            if not served.lookup:
                continue
            loaded = find_spec(settings.models_root, str(served.spec))
            spec = loaded.spec
            if spec.online is None:
                problem = "the endpoint is to answer lookups ('lookup: true'), but there is no section 'online'"
                raise SpecError(str(loaded.folder / SPEC_FILE), [problem])
            reader = open_reader(settings.online_store(spec.online.store))
            self._open.append(reader)
            found[spec.model.name] = LookupTable(reader, spec.publish.table)
        return found

    async def keep(self) -> None:
        """Close everything when the endpoint stops."""
        try:
            await asyncio.Event().wait()
        finally:
            for each in self._open:
                await each.aclose()
