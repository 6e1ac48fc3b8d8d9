"""What a challenger may do before its canary ends: the guardrails of the spec against what was measured."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lockstep.run.canary import Breach
from lockstep.run.comparison import Comparison, SegmentShift
from lockstep.specs.trial_spec import Guardrails

# What a segment is called whose values are not to be shown.
HIDDEN = "a value that is not shown"


@dataclass(frozen=True)
class Performance:
    """How good the scores of one model were, over rows whose outcome is known.

    Attributes:
        rows: Rows with an outcome and a score.
        auc: Area under the ROC curve; none: it cannot be told, as with outcomes of one kind only.
        log_loss: Mean log loss; none: the score is no probability.
    """

    rows: int
    auc: float | None
    log_loss: float | None


@dataclass(frozen=True)
class PerformancePair:
    """Both models over the same days."""

    champion: Performance
    challenger: Performance


def find_breaches(
    guardrails: Guardrails,
    comparison: Comparison,
    performance: PerformancePair | None = None,
    *,
    hidden: Collection[str] = (),
) -> tuple[Breach, ...]:
    """Return the guardrails that a challenger broke.

    A limit whose figure could not be had, although there were scores to compare, counts as broken: who sets a limit
    wants it judged. Outcomes come late and times may not be known, so their limits wait.

    Args:
        guardrails: Of the spec.
        comparison: Of the partition.
        performance: Over the latest days with labels; none: not known yet.
        hidden: Columns whose values must not be shown.
    """
    if comparison.failure:
        return (Breach(what="failure", sentence=f"the challenger has no whole result: {comparison.failure}"),)
    return (
        *_of_rows(guardrails, comparison),
        *_of_scores(guardrails, comparison),
        *_of_segments(guardrails, comparison, hidden),
        *_of_cost(guardrails, comparison),
        *(_of_performance(guardrails, performance) if performance is not None else ()),
    )


def _of_rows(guardrails: Guardrails, comparison: Comparison) -> Iterator[Breach]:
    limit, rows = guardrails.max_extra_quarantined, comparison.rows_in
    if limit is None or not rows:
        return
    further = comparison.challenger_bad - comparison.champion_bad
    if further > limit * rows:
        sentence = (
            f"{comparison.challenger_bad:,} of {rows:,} rows have no score of the challenger, {further:,} more than of "
            f"the champion; allowed are {limit:.4g} of the rows"
        )
        yield Breach(what="max_extra_quarantined", limit=limit, found=further / rows, sentence=sentence)


def _of_scores(guardrails: Guardrails, comparison: Comparison) -> Iterator[Breach]:
    if comparison.rows_in == comparison.champion_bad:  # the champion scored nothing, so there is nothing to judge
        return
    least, agreement = guardrails.min_agreement, comparison.agreement
    if least is not None and (agreement is None or not agreement >= least):
        words = f"scores agree (within {comparison.tolerance:g}) in {_figure(agreement)} of the rows"
        yield _breach("min_agreement", least, agreement, words=f"{words}; at least {least:g} were wanted")
    mean = comparison.mean_difference
    yield from _above("max_mean_shift", guardrails.max_mean_shift, mean, words="the mean score differs by")
    yield from _above("max_psi", guardrails.max_psi, comparison.psi, words="the PSI against the champion is")


def _of_segments(guardrails: Guardrails, comparison: Comparison, hidden: Collection[str]) -> Iterator[Breach]:
    for segment in comparison.segments if guardrails.max_segment_shift is not None else ():
        words = f"the mean score differs, where {_segment(segment, hidden)} ({segment.rows:,} rows), by"
        yield from _above("max_segment_shift", guardrails.max_segment_shift, segment.shift, words=words)


def _of_cost(guardrails: Guardrails, comparison: Comparison) -> Iterator[Breach]:
    if comparison.challenger_seconds is not None and comparison.champion_seconds:
        ratio = comparison.challenger_seconds / comparison.champion_seconds
        words = "its seconds per row over the champion's are"
        yield from _above("max_cost_ratio", guardrails.max_cost_ratio, ratio, words=words)


def _of_performance(guardrails: Guardrails, performance: PerformancePair) -> Iterator[Breach]:
    champion, challenger = performance.champion, performance.challenger
    if champion.auc is not None and challenger.auc is not None:
        yield from _more(
            "max_auc_drop", guardrails.max_auc_drop, champion.auc - challenger.auc, words="its AUC is lower by"
        )
    if champion.log_loss is not None and challenger.log_loss is not None:
        rise = challenger.log_loss - champion.log_loss
        yield from _more("max_log_loss_rise", guardrails.max_log_loss_rise, rise, words="its log loss is higher by")


def _above(what: str, limit: float | None, found: float | None, *, words: str) -> Iterator[Breach]:
    """Judge the size of a figure."""
    yield from _more(what, limit, None if found is None else abs(found), words=words)


def _more(what: str, limit: float | None, found: float | None, *, words: str) -> Iterator[Breach]:
    if limit is not None and (found is None or not found <= limit):  # so written, NaN is too much
        yield _breach(what, limit, found, words=f"{words} {_figure(found)}; at most {limit:g} is allowed")


def _breach(what: str, limit: float, found: float | None, *, words: str) -> Breach:
    known = None if found is None or found != found else found  # noqa: PLR0124 - JSON has no NaN
    return Breach(what=what, limit=limit, found=known, sentence=words)


def _figure(value: float | None) -> str:
    return "an unknown figure" if value is None else f"{value:.4g}"


def _segment(segment: SegmentShift, hidden: Collection[str]) -> str:
    value = HIDDEN if segment.column in hidden else "null" if segment.value is None else segment.value
    return f"{segment.column} is {value}"
