"""The section of the report on challengers: what they would have changed, and where most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.run.comparison import Comparison, SegmentShift
from lockstep.specs.spec import ScoringSpec

SHOWN = 15


@dataclass(frozen=True)
class SegmentRow:
    """One segment, as text."""

    column: str
    value: str
    rows: str
    champion: str
    challenger: str
    shift: str


@dataclass(frozen=True)
class TrialView:
    """One challenger.

    Attributes:
        failure: Why it has no result; empty: it has one.
        figures: Labels and figures of the whole day.
        segments: Those that shifted most; `further` how many more there are.
        not_split: Columns of the spec that gave no segments.
    """

    title: str
    failure: str
    figures: tuple[tuple[str, str], ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    further: int = 0
    not_split: tuple[str, ...] = ()


def trial_view(comparisons: Sequence[Comparison], spec: ScoringSpec) -> list[TrialView]:
    """Arrange the comparisons of a run, in the order of the spec."""
    order = [one.alias for one in spec.trial.challengers] if spec.trial else []
    known = sorted(comparisons, key=lambda one: order.index(one.alias) if one.alias in order else len(order))
    return [_view(one, spec) for one in known]


def _view(one: Comparison, spec: ScoringSpec) -> TrialView:
    title = f"{one.alias}, version {one.version}" if one.version else one.alias
    if one.failure:
        return TrialView(title, one.failure)
    ranked = largest_first(one.segments)
    wanted = spec.trial.segments if spec.trial and one.compared else ()
    split = {segment.column for segment in one.segments}
    return TrialView(
        title=title,
        failure="",
        figures=tuple(figures(one)),
        segments=tuple(_row(segment) for segment in ranked[:SHOWN]),
        further=max(len(ranked) - SHOWN, 0),
        not_split=tuple(column for column in wanted if column not in split),
    )


def largest_first(segments: Sequence[SegmentShift]) -> list[SegmentShift]:
    """Return segments by the size of their shift, the largest first."""
    return sorted(segments, key=lambda one: (-abs(one.shift), one.column, one.value or ""))


def figures(one: Comparison) -> list[tuple[str, str]]:
    """Return what a comparison says of the whole day, as labels and texts."""
    found = [("Rows compared", f"{one.compared:,} of {one.rows_in:,}")]
    if one.agreement is not None:
        found.append(("Agree", f"{percent(one.agreement)} within {one.tolerance:g}"))
    if one.mean_difference is not None:
        found.append(("Mean difference", f"{one.mean_difference:+.4g}"))
    if one.max_difference is not None:
        found.append(("Largest difference", f"{one.max_difference:.4g}"))
    if one.psi is not None:
        found.append(("PSI", f"{one.psi:.3g}"))
    found.append(("Rows without a score", f"{one.challenger_bad:,}, the champion has {one.champion_bad:,}"))
    if one.champion_seconds and one.challenger_seconds is not None:
        ratio = one.challenger_seconds / one.champion_seconds
        ours, theirs = f"{one.champion_seconds:,.2f} s", f"{one.challenger_seconds:,.2f} s"
        found.append(("Cost", f"{theirs} of scoring, the champion took {ours} ({ratio:.2f} times as much)"))
    return found


def percent(share: float) -> str:
    """Write a share so that not quite all never looks like all."""
    return f"{math.floor(10_000 * share) / 100:.2f} %" if share < 1 else "100 %"


def _row(one: SegmentShift) -> SegmentRow:
    return SegmentRow(
        column=one.column,
        value="null" if one.value is None else one.value,
        rows=f"{one.rows:,}",
        champion=f"{one.champion_mean:.4g}",
        challenger=f"{one.challenger_mean:.4g}",
        shift=f"{one.shift:+.4g}",
    )
