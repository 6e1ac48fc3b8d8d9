"""From what a person asked for to one version of the registered model."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from lockstep.errors import AliasMoved, ModelChoiceInvalid, NothingPublished, RegistryError
from lockstep.publish.warehouse import open_warehouse
from lockstep.registry.resolve import list_versions, move_alias, resolve_model
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
    return resolve_model(settings.tracking_uri, name, version=live.model_version, digest=live.model_digest)


def challenger_versions(loaded: LoadedSpec, settings: Settings) -> dict[str, int | None]:
    """Return the version of each alias on trial, none for one that does not exist.

    A registry that does not answer gives nothing: challengers are resolved again when a run is planned.
    """
    if loaded.spec.trial is None:
        return {}
    try:
        versions = list_versions(settings.tracking_uri, loaded.spec.model.name)
    except RegistryError:
        return {}
    known = {alias: version for version, aliases in versions for alias in aliases}
    return {one.alias: known.get(one.alias) for one in loaded.spec.trial.challengers}


@dataclass(frozen=True)
class Promotion:
    """What an alias points at.

    Attributes:
        version: Now, or after what would be done.
        before: Before that; none: it did not exist.
        moved: Whether it was moved.
    """

    name: str
    alias: str
    version: int
    digest: str
    before: int | None
    moved: bool

    def facts(self) -> dict[str, Any]:
        """Return what machines are told."""
        return asdict(self)


def promote_model(
    loaded: LoadedSpec, choice: ModelChoice, settings: Settings, *, expect: int | None, dry_run: bool
) -> Promotion:
    """Point the spec's alias at a version. Repeating it changes nothing.

    Args:
        loaded: The spec.
        choice: The version that the alias shall name.
        settings: Where the registry is.
        expect: The version that the alias has to point at still, 0 for none; none: whatever it is.
        dry_run: Resolve and compare, change nothing.

    Raises:
        AliasMoved: The alias points elsewhere than was expected.
        RegistryError: There is no such version, or no answer.
    """
    reference = loaded.spec.model
    found = choose_model(loaded, choice, settings, partition=None)
    versions = list_versions(settings.tracking_uri, reference.name)
    before = next((version for version, aliases in versions if reference.alias in aliases), None)
    if expect is not None and (before or 0) not in {expect, found.version}:
        raise AliasMoved(reference.name, alias=reference.alias, expected=expect, found=before)
    moved = before != found.version and not dry_run
    if moved:
        move_alias(settings.tracking_uri, reference.name, alias=reference.alias, version=found.version)
    return Promotion(reference.name, reference.alias, found.version, found.digest, before, moved)
