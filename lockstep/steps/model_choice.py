"""From what a person asked for to one version of the registered model."""

import datetime as dt

from lockstep.errors import ArtifactInvalid, ModelChoiceInvalid, NothingPublished
from lockstep.publish.warehouse import open_warehouse
from lockstep.registry.resolve import resolve_model
from lockstep.run.plan import ModelIdentity
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.model_choice import AS_PUBLISHED, ModelChoice
from lockstep.specs.settings import Settings


def choose_model(
    loaded: LoadedSpec, choice: ModelChoice, settings: Settings, *, partition: dt.date | None
) -> ModelIdentity:
    """Resolve a choice, once.

    Args:
        loaded: The spec.
        choice: What was asked for.
        settings: Where things are.
        partition: The day to be scored; needed for `as-published`.

    Raises:
        ModelChoiceInvalid: `as-published` without a day.
        NothingPublished: Nothing is live of that day, or another model made it.
        ArtifactInvalid: The version's artifact is not the one that made the day.
        RegistryError: The registry cannot give it.
    """
    name, publish = loaded.spec.model.name, loaded.spec.publish
    if not choice.as_published:
        return resolve_model(settings.tracking_uri, name, alias=choice.alias, version=choice.version)
    if partition is None:
        raise ModelChoiceInvalid(AS_PUBLISHED, problem="needs the day: give --date")
    location = settings.warehouse(publish.warehouse)
    warehouse = open_warehouse(publish.warehouse, location, wait_s=settings.warehouse_wait_s)
    live = warehouse.live(publish.table, partition)
    if live is None or live.model_name != name:
        made = None if live is None else live.model_name
        raise NothingPublished(publish.table, partition=partition.isoformat(), model=name, made_by=made)
    found = resolve_model(settings.tracking_uri, name, version=live.model_version)
    if found.digest != live.model_digest:
        raise ArtifactInvalid(
            f"{name} version {found.version}",
            f"its artifact has digest {found.digest}, and the day was made with {live.model_digest}",
        )
    return found
