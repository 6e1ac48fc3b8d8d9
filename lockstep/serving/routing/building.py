"""The arms of a served model from its configuration: what its spec has on trial, or what `serving.yaml` names."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote

from lockstep.errors import LockstepError, SpecError
from lockstep.run.canary_state import FOLDER, current_abort
from lockstep.run.plan import ModelIdentity
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.metrics import Metrics
from lockstep.serving.repository import Source
from lockstep.serving.routing.arms import Arms, Canary, Ramp
from lockstep.serving.routing.companions import Companion
from lockstep.serving.routing.shadowing import Shadowing, ShadowLimits
from lockstep.serving.versions import LoadedVersion
from lockstep.specs.routing_spec import Routing
from lockstep.specs.serving_spec import ServedModel
from lockstep.specs.spec import ScoringSpec
from lockstep.specs.trial_spec import Trial
from lockstep.steps.canary_plan import split_columns

SHADOW = "shadow_{alias}"
# Where aborts of a model without a spec are kept; no spec is called so.
OWN = "model={model}"
TOLERANCE = 0.01
MIB = 2**20

# Where the versions of an alias come from.
SourceOf = Callable[[str], Source]
Clock = Callable[[], float]
Reread = Callable[[], ScoringSpec]


def build_arms(
    served: ServedModel,
    spec: ScoringSpec | None,
    *,
    slot: ModelSlot,
    source_of: SourceOf,
    home: Path,
    metrics: Metrics,
    reread: Reread | None = None,
    clock: Clock = time.time,
) -> Arms | None:
    """Return the arms of a served model, none of which is loaded yet; none: the champion alone answers.

    Args:
        served: The model in `serving.yaml`.
        spec: Its spec, if it has one.
        slot: Where it is served.
        source_of: Gives where the versions of an alias come from.
        home: Where aborts of canaries are kept.
        metrics: Count what shadows do.
        reread: Reads the spec again, whose ramp may change; none: it does not.
        clock: Seconds since 1970, for the ramp.

    Raises:
        SpecError: An alias is to answer and to be a shadow.
    """
    routing = served.routing
    trial = _trial(served, spec)
    if trial is not None and spec is not None:
        canary = _spec_canary(spec, trial, source_of, home=home, clock=clock, reread=reread or (lambda: spec))
    else:
        canary = _own_canary(routing, slot.name, source_of, home=home, clock=clock)
    answering = canary.companion.alias if canary is not None else None
    if answering in routing.shadows:
        problem = f"key routing.shadows: {answering!r} is the challenger of the canary, and answers already"
        raise SpecError(f"of served model {slot.name!r}", [problem])
    tried = [one.alias for one in trial.challengers] if trial is not None else []
    aliases = [alias for alias in dict.fromkeys([*tried, *routing.shadows]) if alias != answering]
    if canary is None and not aliases:
        return None
    shadows = [Companion(alias, SHADOW.format(alias=alias), _in_threads(source_of(alias))) for alias in aliases]
    limits = _limits(routing, trial, spec)
    return Arms(slot, canary, Shadowing(shadows, limits, metrics=metrics) if shadows else None)


def _trial(served: ServedModel, spec: ScoringSpec | None) -> Trial | None:
    """Return the trial that is followed: that of the spec's own alias, while an alias is followed at all."""
    own = spec is not None and served.version is None and served.alias in {None, spec.model.alias}
    return spec.trial if spec is not None and own and served.routing.follow_spec else None


def _spec_canary(
    spec: ScoringSpec, trial: Trial, source_of: SourceOf, *, home: Path, clock: Clock, reread: Reread
) -> Canary | None:
    canary = trial.canary
    if canary is None:
        return None
    ramp, by = Ramp(canary.fraction, clock=clock), split_columns(spec, canary)
    challenger = _challenger(canary.challenger, source_of, ramp, home=home, kept_as=spec.name)
    challenger.idle = partial(_idle, ramp, reread, alias=canary.challenger, by=by)
    return Canary(challenger, ramp, by, spec.name, kept_as=spec.name, declared=_declared(spec))


def _idle(ramp: Ramp, reread: Reread, *, alias: str, by: tuple[str, ...]) -> str:
    """Say why the challenger of a spec is not needed now, and let the ramp be that of the spec as it is now."""
    try:
        spec = reread()
    except (LockstepError, OSError):  # somebody is writing it: what it said before holds
        return ramp.idle()
    canary = spec.trial.canary if spec.trial is not None else None
    if canary is None:
        return "the spec has no canary any more"
    if (canary.challenger, split_columns(spec, canary)) != (alias, by):
        return "the spec names another challenger, or other columns, now; start the endpoint again"
    ramp.fraction = canary.fraction
    return ramp.idle()


def _own_canary(routing: Routing, model: str, source_of: SourceOf, *, home: Path, clock: Clock) -> Canary | None:
    canary = routing.canary
    if canary is None:
        return None
    ramp, kept_as = Ramp(canary.fraction, clock=clock), OWN.format(model=quote(model, safe=""))
    challenger = _challenger(canary.alias, source_of, ramp, home=home, kept_as=kept_as)
    return Canary(challenger, ramp, canary.by, model, kept_as=kept_as)


def _challenger(alias: str, source_of: SourceOf, ramp: Ramp, *, home: Path, kept_as: str) -> Companion:
    over = partial(_abort, home, kept_as)
    return Companion(alias, alias, source_of(alias), idle=ramp.idle, over=over, answers=True)


def _abort(home: Path, kept_as: str, identity: ModelIdentity) -> str:
    """Say that a challenger was stopped; empty: it was not."""
    try:
        abort = current_abort(home, kept_as, identity.digest)
    except LockstepError:  # nobody can tell, so it is
        return f"whether it was aborted cannot be told: the records in {FOLDER}/{kept_as} cannot be read"
    return abort.text if abort is not None else ""


def _declared(spec: ScoringSpec) -> Mapping[str, str]:
    """Return the types of columns as far as the sources agree on them."""
    found: dict[str, set[str]] = {}
    for source in spec.input.sources.values():
        for name, kind in source.columns.items():
            found.setdefault(name, set()).add(kind)
    declared = {name: kinds.pop() for name, kinds in found.items() if len(kinds) == 1}
    return {**declared, spec.partition.column: "date"}


def _limits(routing: Routing, trial: Trial | None, spec: ScoringSpec | None) -> ShadowLimits:
    default = trial.tolerance if trial is not None else TOLERANCE
    return ShadowLimits(
        sample=routing.sample,
        tolerance=routing.tolerance if routing.tolerance is not None else default,
        compared=(spec.output.column,) if spec is not None else None,
        rows=routing.waiting_rows,
        nbytes=routing.waiting_mib * MIB,
    )


def _in_threads(source: Source) -> Source:
    """Let versions never run on the event loop, where a shadow would keep an answer waiting."""

    def load(identity: ModelIdentity) -> LoadedVersion:
        version = source.load(identity)
        version.lane.limits = dataclasses.replace(version.lane.limits, inline_s=0.0)
        return version

    return dataclasses.replace(source, load=load)
