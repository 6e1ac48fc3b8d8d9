"""Compare: each challenger's staged scores beside the champion's, before anything is audited or published."""

from typing import Any

from lockstep.quality.comparison import Difference, Layout, Pair, compare_files, edges_of
from lockstep.report.trial_view import percent
from lockstep.run.comparison import Comparison, SegmentShift
from lockstep.run.folder import COMPARISON, MANIFEST, RunFolder
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan
from lockstep.run.trials import FAILURE, TrialFailure, failure_of, reason_of
from lockstep.specs.settings import Settings
from lockstep.specs.trial_spec import Trial
from lockstep.steps.trial_plan import no_comparison


def compare(folder: RunFolder, settings: Settings) -> dict[str, Any]:  # noqa: ARG001 - every step has this shape
    """Write `comparison.json` of each challenger; one without a result has there why.

    A comparison that is there is not made again. Whatever a challenger's files are like, the step succeeds.

    Returns:
        A sentence and the figures for each challenger, by alias.

    Raises:
        StepOutOfOrder: The champion is not scored.
        RunFolderUnusable: The run folder cannot be written.
    """
    plan, manifest = folder.plan(step="compare"), folder.manifest(step="compare")
    found: dict[str, Comparison] = {}
    if (trial := plan.spec.trial) is not None:
        with folder.timed("compare"):
            for challenger in trial.challengers:
                own = folder.challenger(challenger.alias)
                found[challenger.alias] = _known(own) or _made(folder, own, plan=plan, trial=trial, manifest=manifest)
                own.write_json(COMPARISON, found[challenger.alias])
    told = "; ".join(sentence(one) for one in found.values())
    return {"on_trial": told or "nobody", "challengers": {alias: figures(one) for alias, one in found.items()}}


def figures(one: Comparison) -> dict[str, Any]:
    """Return what machines are told of a comparison; its segments are in the run folder."""
    return one.model_dump(mode="json", exclude={"run_key", "partition", "segments"}, exclude_none=True)


def sentence(one: Comparison) -> str:
    """Say a comparison in a few words."""
    who = f"{one.alias} (version {one.version})" if one.version else one.alias
    if one.failure:
        return f"{who}: no result, {one.failure}"
    if one.agreement is None:
        return f"{who}: no row that both have scored"
    shift = "" if one.mean_difference is None else f", mean difference {one.mean_difference:+.4g}"
    return f"{who}: agrees in {percent(one.agreement)} of {one.compared:,} rows{shift}"


def _known(own: RunFolder) -> Comparison | None:
    """Return the comparison of an earlier attempt, if it is one of the challenger's whole result."""
    if not own.has(COMPARISON) or own.has(FAILURE):
        return None
    found = own.read_record(COMPARISON, Comparison, step="compare")
    return None if found.failure else found


def _made(folder: RunFolder, own: RunFolder, *, plan: Plan, trial: Trial, manifest: Manifest) -> Comparison:
    rows = folder.scoring_input(step="compare").rows
    if own.has(FAILURE):
        failure = own.read_record(FAILURE, TrialFailure, step="compare")
        return no_comparison(plan, failure, rows_in=rows)
    alias = own.path.name
    if not own.has(MANIFEST):
        why = "this day was scored without it; what was scored already is not scored for a trial alone"
        return no_comparison(plan, failure_of(alias, "score", why, model=None), rows_in=rows)
    challenger = own.plan(step="compare")
    try:
        return _compared(folder, own, plans=(plan, challenger), trial=trial, manifest=manifest)
    except Exception as error:  # noqa: BLE001 - a trial never hurts the run
        return no_comparison(plan, failure_of(alias, "score", reason_of(error), model=challenger.model), rows_in=rows)


def _compared(
    folder: RunFolder, own: RunFolder, *, plans: tuple[Plan, Plan], trial: Trial, manifest: Manifest
) -> Comparison:
    champion, challenger = plans
    spec, theirs = champion.spec, own.manifest(step="compare")
    staged = {unit.unit: own.local(unit.staged) for unit in theirs.units}
    pairs = [Pair(unit.unit, folder.local(unit.staged), staged[unit.unit]) for unit in manifest.units]
    layout = Layout(spec.key, spec.output.column, spec.output.errors, trial.segments)
    edges = edges_of(manifest.profile, spec.output.column)
    found = compare_files(pairs, layout, tolerance=trial.tolerance, edges=edges)
    return Comparison(
        run_key=champion.run_key,
        partition=champion.partition,
        alias=own.path.name,
        version=challenger.model.version,
        digest=challenger.model.digest,
        champion_version=champion.model.version,
        champion_digest=champion.model.digest,
        rows_in=manifest.rows_in,
        compared=found.compared,
        champion_bad=manifest.rows_quarantined,
        challenger_bad=theirs.rows_quarantined,
        tolerance=trial.tolerance,
        agreement=found.agreement,
        mean_difference=found.mean,
        max_difference=found.largest,
        psi=found.psi,
        champion_seconds=_scoring_seconds(manifest),
        challenger_seconds=_scoring_seconds(theirs),
        segments=_segments(found),
    )


def _scoring_seconds(manifest: Manifest) -> float | None:
    seconds = manifest.stages_s.get("score")
    return None if seconds is None else round(seconds, 4)


def _segments(found: Difference) -> tuple[SegmentShift, ...]:
    shifts = []
    for column, values in found.segments.items():
        ordered = sorted((values or {}).items(), key=lambda item: (-item[1].rows, item[0] or ""))
        shifts += [
            SegmentShift(
                column=column,
                value=value,
                rows=sums.rows,
                champion_mean=sums.champion / sums.rows,
                challenger_mean=sums.challenger / sums.rows,
            )
            for value, sums in ordered
        ]
    return tuple(shifts)
