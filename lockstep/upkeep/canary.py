"""Canaries by hand: what is asked for, whether it was aborted, and how a person aborts or resumes one."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from lockstep.errors import SpecError
from lockstep.registry.resolve import resolve_model
from lockstep.run.canary_state import CanaryEvent, canary_events, record_event
from lockstep.run.plan import ModelIdentity
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.settings import Settings
from lockstep.specs.trial_spec import Canary
from lockstep.steps.canary_plan import split_columns


@dataclass(frozen=True)
class CanaryStatus:
    """How a spec's canary stands.

    Attributes:
        alias, version, digest: The challenger, as its alias points now.
        champion: Version of the champion.
        asked: Share of the rows that the ramp asks for on `day`.
        by: Columns whose values stay in one arm.
        state: `promoted`: the challenger is the champion, and its trial over.
        events: What happened to this challenger, oldest first.
    """

    day: dt.date
    alias: str
    version: int
    digest: str
    champion: int
    asked: float
    by: tuple[str, ...]
    state: Literal["active", "waiting", "aborted", "promoted"]
    events: tuple[CanaryEvent, ...]

    def facts(self) -> dict[str, Any]:
        """Return what machines are told."""
        events = [event.model_dump(mode="json") for event in self.events]
        return {**vars(self), "day": self.day.isoformat(), "by": list(self.by), "events": events}


def canary_status(loaded: LoadedSpec, settings: Settings, *, day: dt.date) -> CanaryStatus:
    """Say how a spec's canary stands on a day.

    Raises:
        SpecError: The spec has no canary.
        RegistryError: Champion or challenger cannot be had.
    """
    spec, canary = loaded.spec, _canary(loaded)
    challenger = _challenger(loaded, settings)
    champion = resolve_model(settings.tracking_uri, spec.model.name, alias=spec.model.alias)
    events, asked = canary_events(settings.home, spec.name, challenger.digest), canary.fraction(day)
    state: Literal["active", "waiting", "aborted", "promoted"] = "active" if asked else "waiting"
    if champion.digest == challenger.digest:
        state = "promoted"
    elif events and events[-1].kind == "aborted":
        state = "aborted"
    return CanaryStatus(
        day=day,
        alias=canary.challenger,
        version=challenger.version,
        digest=challenger.digest,
        champion=champion.version,
        asked=asked,
        by=split_columns(spec, canary),
        state=state,
        events=tuple(events),
    )


def decide(
    loaded: LoadedSpec, settings: Settings, kind: Literal["aborted", "resumed"], *, reason: str, now: dt.datetime
) -> tuple[CanaryEvent, bool]:
    """Abort or resume the canary of the challenger that the alias names now. Repeating it changes nothing.

    Args:
        loaded: The spec.
        settings: Where aborts are kept, and who is at work.
        kind: What to do.
        reason: Kept with it.
        now: Present time.

    Returns:
        The event that is in force, and whether it is new.

    Raises:
        SpecError: The spec has no canary.
        RegistryError: The challenger cannot be had.
    """
    canary, found = _canary(loaded), _challenger(loaded, settings)
    event = CanaryEvent(
        kind=kind,
        at=now,
        actor=settings.actor,
        alias=canary.challenger,
        version=found.version,
        digest=found.digest,
        reasons=(reason,),
    )
    before = len(canary_events(settings.home, loaded.spec.name, found.digest))
    in_force = record_event(settings.home, loaded.spec.name, event)
    return in_force, len(canary_events(settings.home, loaded.spec.name, found.digest)) > before


def _canary(loaded: LoadedSpec) -> Canary:
    trial = loaded.spec.trial
    if trial is None or trial.canary is None:
        raise SpecError(str(loaded.folder), ["there is no canary in it (trial.canary); see docs/trials.md"])
    return trial.canary


def _challenger(loaded: LoadedSpec, settings: Settings) -> ModelIdentity:
    name = loaded.spec.model.name
    return resolve_model(settings.tracking_uri, name, alias=_canary(loaded).challenger)
