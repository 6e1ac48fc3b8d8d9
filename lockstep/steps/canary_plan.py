"""Whether a run has a canary: what the ramp says for its day, who the challenger is, and whether it was aborted."""

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lockstep.errors import RegistryError
from lockstep.registry.resolve import resolve_model
from lockstep.run.canary import canary_identity
from lockstep.run.canary_state import current_abort
from lockstep.run.plan import CanaryPlan, ModelIdentity
from lockstep.scoring.arms import salt_of
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.specs.trial_spec import Canary

log = logging.getLogger("lockstep.canary")

# The key of the run, given the digest of its `canary`.
KeyOf = Callable[..., str]


@dataclass(frozen=True)
class CanaryChoice:
    """What is planned for a day.

    Attributes:
        plan: The canary; none: there is none.
        why_not: Why there is none, where the spec has one; empty otherwise.
    """

    plan: CanaryPlan | None = None
    why_not: str = ""


def choose_canary(
    spec: ScoringSpec,
    partition: dt.date,
    settings: Settings,
    *,
    champion: ModelIdentity,
    versions: Mapping[str, int | None] | None = None,
) -> CanaryChoice:
    """Say what the ramp asks for on a day. Depends on the day and on the models alone, so a backfill repeats it.

    Args:
        spec: The spec.
        partition: The day that is scored.
        settings: Where the registry is.
        champion: The model of the run.
        versions: Versions of aliases that were chosen before, none for one that did not exist; others are resolved.

    Raises:
        RegistryUnavailable: The registry did not answer. (A challenger that cannot be had is no reason to fail.)
    """
    canary = spec.trial.canary if spec.trial else None
    if canary is None:
        return CanaryChoice()
    fraction = canary.fraction(partition)
    if fraction == 0:
        return CanaryChoice(why_not=f"the ramp gives {partition} no share")
    alias, pinned = canary.challenger, versions or {}
    version = pinned.get(alias)
    if alias in pinned and version is None:
        return CanaryChoice(why_not=f"there was no @{alias}")
    try:
        found = resolve_model(settings.tracking_uri, spec.model.name, alias=alias, version=version)
    except RegistryError as error:
        if error.retryable:
            raise
        return CanaryChoice(why_not=f"the challenger cannot be had: {error}")
    if found.digest == champion.digest:
        return CanaryChoice(why_not=f"version {found.version} is the champion: its trial is over")
    planned = CanaryPlan(
        alias=alias,
        version=found.version,
        digest=found.digest,
        fraction=fraction,
        by=split_columns(spec, canary),
        salt=salt_of(spec.name, found.digest),
    )
    return CanaryChoice(planned)


def split_columns(spec: ScoringSpec, canary: Canary) -> tuple[str, ...]:
    """Return the columns whose values stay in one arm; of a key that is the day alone: the day."""
    return canary.by or tuple(name for name in spec.key if name != spec.partition.column) or spec.key


def plan_canary(
    spec: ScoringSpec,
    partition: dt.date,
    settings: Settings,
    *,
    champion: ModelIdentity,
    key_of: KeyOf,
    versions: Mapping[str, int | None] | None = None,
) -> tuple[CanaryPlan | None, str]:
    """Return the canary that a run is planned with, and the run's key.

    While a challenger is aborted no run is planned with it, but for the one that found a guardrail broken: it is that
    run still, and has to be found again when it is repeated.

    Args:
        spec: The spec.
        partition: The day that is scored.
        settings: Where registry and aborts are.
        champion: The model of the run.
        key_of: Gives the run's key.
        versions: As in `choose_canary`.

    Raises:
        RegistryUnavailable: The registry did not answer.
        RunFolderUnusable: The record of an abort cannot be read.
    """
    choice = choose_canary(spec, partition, settings, champion=champion, versions=versions)
    if choice.plan is None:
        if choice.why_not:
            log.info("no canary: %s", choice.why_not)
        return None, key_of()
    abort, key = current_abort(settings.home, spec.name, choice.plan.digest), _key(choice.plan, spec, key_of)
    if abort is None or abort.run_key == key:
        return choice.plan, key
    log.warning("no canary: %s", abort.text)
    return None, key_of()


def _key(planned: CanaryPlan, spec: ScoringSpec, key_of: KeyOf) -> str:
    return key_of(canary=canary_identity(planned, spec.trial))
