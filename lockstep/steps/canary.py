"""Canary: publish the challenger's answer for its arm of the rows, unless it misbehaves; then none, for good."""

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any, Literal

from lockstep.errors import StagedFileChanged, StepOutOfOrder
from lockstep.quality.guardrails import find_breaches
from lockstep.quality.invariants import staged_problem
from lockstep.quality.numbers import side_by_side
from lockstep.run.canary import FILES, Breach, CanaryRecord, Stamp, read_canary
from lockstep.run.canary_state import CanaryEvent, current_abort, record_event
from lockstep.run.comparison import Comparison
from lockstep.run.folder import CANARY, CLAIM, COMPARISON, MANIFEST, PUBLICATION, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest, UnitResult
from lockstep.run.plan import CanaryPlan, Plan
from lockstep.scoring.arms import Split
from lockstep.scoring.mixture import Arm, ChallengerUnfit, MixedUnit, Side, mix_unit
from lockstep.specs.settings import Settings
from lockstep.steps.canary_performance import recent_performance
from lockstep.storage.files import Location

log = logging.getLogger("lockstep.canary")


def canary(folder: RunFolder, settings: Settings, *, dry_run: bool = False) -> dict[str, Any]:
    """Decide what the challenger may answer, write the mixed files and `canary.json`.

    A guardrail that is broken ends the canary of this challenger for good, and no row of it goes live: the champion's
    rows are published whole. So they are, of this run alone, without a comparison. A run that was published already
    stays as it is.

    Args:
        folder: A run whose rows are scored and compared.
        settings: Where aborts are kept.
        dry_run: Nothing is aborted by it.

    Returns:
        The outcome (`active`, `aborted` or `off`), shares, rows by arm, reasons, and whether it was `reused`.

    Raises:
        StepOutOfOrder: The rows are not scored yet.
        StagedFileChanged: The champion's rows are not those that were scored.
    """
    plan = folder.plan(step="canary")
    if plan.canary is None:
        return {"outcome": "off", "fraction": 0.0, "reasons": [why_off(folder, plan, settings)], "reused": False}
    earlier = read_canary(folder, plan, step="canary") if folder.has(CANARY) else None
    if earlier is not None and _is_settled(folder):
        return _summary(earlier, reused=True)
    with folder.timed("canary"):
        record = _decided(folder, plan, settings, earlier=earlier, dry_run=dry_run)
        if record != earlier:
            folder.write_json(CANARY, record)
        _remove_strays(folder, record)
    if record.outcome != "active":
        log.warning("the canary of %s is %s: %s", plan.spec.name, record.outcome, "; ".join(record.reasons))
    return _summary(record, reused=record == earlier)


def why_off(folder: RunFolder, plan: Plan, settings: Settings) -> str:
    """Say why a run was planned without a canary."""
    wanted = plan.spec.trial.canary if plan.spec.trial else None
    if wanted is None:
        return "the spec has no canary"
    if wanted.fraction(plan.partition) == 0:
        return f"the ramp gives {plan.partition} no share"
    try:
        challenger = folder.challenger(wanted.challenger).plan(step="canary").model
    except StepOutOfOrder:
        return f"@{wanted.challenger} could not be had when the run was planned"
    if challenger.digest == plan.model.digest:
        return f"version {challenger.version} is the champion: its trial is over"
    abort = current_abort(settings.home, plan.spec.name, challenger.digest)
    return abort.text if abort else "the run was planned without it"


def _is_settled(folder: RunFolder) -> bool:
    """Whether the run's rows are live, or were: then what they are is no more to be decided."""
    return folder.has(PUBLICATION) or (folder.has(CLAIM) and folder.claim(step="canary").already_live)


def _decided(
    folder: RunFolder, plan: Plan, settings: Settings, *, earlier: CanaryRecord | None, dry_run: bool
) -> CanaryRecord:
    planned, trial = plan.canary, plan.spec.trial
    if planned is None or trial is None or trial.canary is None:
        raise StepOutOfOrder("canary", needs="a plan with a canary", folder=str(folder.path))
    other, manifest = folder.challenger(planned.alias), folder.manifest(step="canary")
    abort = current_abort(settings.home, plan.spec.name, planned.digest)
    comparison, lately = _comparison(other, plan, planned), recent_performance(plan, settings)
    if comparison is None:
        why = f"there is no comparison of version {planned.version} with version {plan.model.version}"
        return _without(plan, planned, manifest, outcome="off", reasons=(why,))
    breaches = find_breaches(trial.canary.guardrails, comparison, lately, hidden=plan.spec.sensitive)
    if not breaches and abort is None:
        try:
            return _mixed(folder, plan, planned, other=other, manifest=manifest, earlier=earlier)
        except ChallengerUnfit as error:
            breaches = (Breach(what="result", sentence=str(error)),)
    reasons = tuple(breach.sentence for breach in breaches) or ((abort.text,) if abort else ())
    if breaches and not dry_run:
        _abort(plan, planned, settings, reasons=reasons)
    return _without(plan, planned, manifest, outcome="aborted", reasons=reasons, breaches=breaches)


def _without(
    plan: Plan,
    planned: CanaryPlan,
    manifest: Manifest,
    *,
    outcome: Literal["aborted", "off"],
    reasons: tuple[str, ...],
    breaches: tuple[Breach, ...] = (),
) -> CanaryRecord:
    return CanaryRecord(
        **_identity(plan, planned, run_key=""),
        outcome=outcome,
        effective=0.0,
        rows_champion=manifest.rows_staged,
        breaches=breaches,
        reasons=reasons,
    )


def _comparison(other: RunFolder, plan: Plan, planned: CanaryPlan) -> Comparison | None:
    """Read the comparison with the challenger that was planned; one that failed may not know who that is."""
    if not other.has(COMPARISON):
        return None
    found = other.read_record(COMPARISON, Comparison, step="canary")
    theirs = planned.digest if found.failure else found.digest
    whose = (found.partition, theirs, found.champion_digest)
    return found if whose == (plan.partition, planned.digest, plan.model.digest) else None


def _mixed(
    folder: RunFolder,
    plan: Plan,
    planned: CanaryPlan,
    *,
    other: RunFolder,
    manifest: Manifest,
    earlier: CanaryRecord | None,
) -> CanaryRecord:
    """Mix every unit; what an earlier attempt made of the same staged files is taken as it is."""
    try:
        theirs, results = other.plan(step="canary"), other.manifest(step="canary")
    except StepOutOfOrder as error:
        raise ChallengerUnfit(planned.version, problem="its scored rows are not there") from error
    if theirs.model.digest != planned.digest:
        raise ChallengerUnfit(planned.version, problem=f"the scored rows are those of version {theirs.model.version}")
    made_of = tuple(file_sha256(place.file(MANIFEST)) for place in (folder, other))
    if earlier is not None and earlier.made_of == made_of and _is_whole(folder, earlier):
        return earlier
    by_unit = {unit.unit: unit for unit in results.units}
    arm = Arm(Split(planned.salt, planned.by), planned.fraction)

    def mix(unit: UnitResult) -> MixedUnit:
        if unit.unit not in by_unit:
            raise ChallengerUnfit(planned.version, problem=f"it has no result of unit {unit.unit}")
        champion, challenger = Side(folder, plan, unit), Side(other, theirs, by_unit[unit.unit])
        _require_unchanged(champion, challenger)
        return mix_unit(champion, challenger, arm=arm)

    mixed = list(side_by_side(mix, manifest.units))
    made = sum(one.rows_challenger for one in mixed)
    return CanaryRecord(
        **_identity(plan, planned, run_key=theirs.run_key),
        outcome="active",
        effective=planned.fraction,
        rows_champion=manifest.rows_staged - made,
        rows_challenger=made,
        fell_back=sum(one.fell_back for one in mixed),
        made_of=made_of,
        manifest=manifest.model_copy(update={"units": tuple(one.unit for one in mixed)}),
    )


def _require_unchanged(champion: Side, challenger: Side) -> None:
    for side in (champion, challenger):
        unit, path = side.unit, side.folder.file(side.unit.staged)
        problem = staged_problem(path, unit.size_bytes, unit.sha256)
        if problem and side is champion:
            raise StagedFileChanged(str(path), expected="the scored file", got=problem)
        if problem:
            raise ChallengerUnfit(side.plan.model.version, problem=problem)


def _is_whole(folder: RunFolder, record: CanaryRecord) -> bool:
    units = record.manifest.units if record.manifest else ()
    return bool(units) and all(_size(folder.file(unit.staged)) == unit.size_bytes for unit in units)


def _size(path: Location) -> int:
    return path.stat().st_size if path.is_file() else -1


def _identity(plan: Plan, planned: CanaryPlan, *, run_key: str) -> dict[str, Any]:
    model = plan.model
    champion: Stamp = (model.name, model.version, model.digest, plan.run_key)
    return {
        "run_key": plan.run_key,
        "partition": plan.partition,
        "asked": planned.fraction,
        "salt": planned.salt,
        "by": planned.by,
        "champion": champion,
        "challenger": (model.name, planned.version, planned.digest, run_key),
    }


def _abort(plan: Plan, planned: CanaryPlan, settings: Settings, *, reasons: Sequence[str]) -> None:
    event = CanaryEvent(
        kind="aborted",
        at=dt.datetime.now(dt.UTC),
        actor=settings.actor,
        alias=planned.alias,
        version=planned.version,
        digest=planned.digest,
        reasons=tuple(reasons),
        partition=plan.partition,
        run_key=plan.run_key,
    )
    record_event(settings.home, plan.spec.name, event)


def _remove_strays(folder: RunFolder, record: CanaryRecord) -> None:
    """Delete what attempts left that the record does not name."""
    named = {unit.staged for unit in record.manifest.units} if record.manifest else set()
    for name in folder.names(FILES):
        if name not in named:
            folder.remove(name)


def _summary(record: CanaryRecord, *, reused: bool) -> dict[str, Any]:
    return {
        "outcome": record.outcome,
        "version": record.version,
        "fraction": record.asked,
        "effective": record.effective,
        "rows_challenger": record.rows_challenger,
        "rows_champion": record.rows_champion,
        "fell_back": record.fell_back,
        "reasons": list(record.reasons),
        "reused": reused,
    }
