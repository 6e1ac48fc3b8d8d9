"""From the facts of a run to `report.html`: one page, without scripts and without any other file."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from lockstep.quality.performance_table import PerformanceRow
from lockstep.quality.results import CheckResult, Sample
from lockstep.quality.verdict import Verdict
from lockstep.report import charts
from lockstep.report.drift_view import drift_view
from lockstep.report.engine import engine_facts
from lockstep.report.facts import RunFacts, failures, headline, warnings
from lockstep.report.performance_view import performance_view
from lockstep.report.trial_view import trial_view
from lockstep.scoring.signature import described

TEMPLATE = "report.html.j2"
# What each step is called on the page, in their order.
STAGES = {
    "plan": "Plan",
    "materialize": "Build features",
    "gate": "Gate",
    "score": "Score",
    "compare": "Compare",
    "audit": "Audit",
    "publish": "Publish",
    "shadow": "Publish shadows",
}


@dataclass(frozen=True)
class CheckRow:
    """One line of a table of checks; several columns that passed the same check share a line."""

    tone: str
    mark: str
    kind: str
    name: str
    targets: tuple[str, ...]
    observed: str
    expected: str
    why: str
    sample: Sample | None = None


def render(facts: RunFacts, *, now: dt.datetime, performance: Sequence[PerformanceRow] = ()) -> str:
    """Render the page.

    Args:
        facts: The run.
        performance: What is known by now of how good earlier days were.
        now: When the page is made; it is printed at its foot.
    """
    env = Environment(
        loader=PackageLoader("lockstep.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return env.get_template(TEMPLATE).render(
        facts=facts,
        plan=facts.plan,
        headline=headline(facts),
        failures=[_row((result,)) for result in failures(facts)],
        warnings=[_row((result,)) for result in warnings(facts)],
        tiles=_tiles(facts),
        funnel=_funnel(facts),
        timings=_timings(facts),
        engine=engine_facts(facts.manifest) if facts.manifest else None,
        total_s=sum(float(timing["seconds"]) for timing in facts.timings),
        score_chart=charts.score_chart(facts.audit.score) if facts.audit and facts.audit.score else None,
        drift=drift_view(facts.audit, facts.plan.spec),
        performance=performance_view(performance),
        thresholds=charts.thresholds(),
        not_a_number=_not_a_number(facts),
        trial=trial_view(facts.comparisons, facts.plan.spec),
        canary=facts.canary,
        stages=[_stage(verdict) for verdict in (facts.gate, facts.audit) if verdict],
        source_bytes=sum(source.size_bytes for source in facts.plan.sources),
        command=_command(facts),
        now=now,
    )


def _not_a_number(facts: RunFacts) -> str | None:
    """Return the type of the output when it is no number, so that the page says why it shows no distribution."""
    for output in facts.plan.model.outputs:
        if output.name == facts.plan.spec.output.column and (output.shape is not None or output.dtype == "string"):
            return described(output)
    return None


def _command(facts: RunFacts) -> str:
    plan = facts.plan
    return f"lockstep run {plan.spec.name} --date {plan.partition} --model-version {plan.model.version}"


def _tiles(facts: RunFacts) -> list[tuple[str, str, str]]:
    """Return (label, figure, note) of what a reader wants first."""
    tiles = []
    if facts.publication:
        replaced = facts.publication.replaced_rows
        note = f"replacing {replaced:,}" if replaced else "no change: it was live already"
        if facts.publication.outcome == "published" and not replaced:
            note = "new partition"
        tiles.append(("Rows published", f"{facts.publication.rows:,}", note))
    elif facts.scoring_input:
        tiles.append(("Rows read", f"{facts.scoring_input.rows:,}", "none published"))
    if facts.audit and facts.audit.score:
        before = facts.audit.score.baseline_mean
        note = f"{before:.3f} in training" if before is not None else "no training baseline"
        tiles.append(("Mean score", f"{facts.audit.score.mean:.3f}", note))
    if facts.manifest:
        reasons = len(facts.manifest.reasons)
        note = f"for {_counted(reasons, 'reason')}" if reasons else "every row was scored"
        tiles.append(("Quarantined", f"{facts.manifest.rows_quarantined:,}", note))
    results = [result for verdict in (facts.gate, facts.audit) if verdict for result in verdict.results]
    if results:
        good = sum(result.success for result in results)
        tiles.append(("Checks passed", f"{good} of {len(results)}", _counted(len(warnings(facts)), "warning")))
    seconds = sum(float(timing["seconds"]) for timing in facts.timings)
    tiles.append(("Time", duration(seconds), _counted(len(facts.timings), "step")))
    return tiles


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _funnel(facts: RunFacts) -> list[charts.Bar]:
    rows: list[tuple[str, float, str, str]] = []
    if facts.scoring_input:
        rows.append(("Read", facts.scoring_input.rows, f"{facts.scoring_input.rows:,}", "plain"))
    if facts.manifest:
        rows.append(("Scored", facts.manifest.rows_scored, f"{facts.manifest.rows_scored:,}", "plain"))
        bad = facts.manifest.rows_quarantined
        rows.append(("Quarantined", bad, f"{bad:,}", "warn" if bad else "plain"))
    if rows:
        live = facts.publication.rows if facts.publication else 0
        rows.append(("Published", live, f"{live:,}", "ok" if facts.publication else "bad"))
    return charts.bars(rows)


def _timings(facts: RunFacts) -> list[charts.Bar]:
    order = list(STAGES)
    found = sorted(facts.timings, key=lambda t: order.index(t["step"]) if t["step"] in STAGES else len(order))
    rows = [
        (STAGES.get(t["step"], t["step"]), float(t["seconds"]), duration(float(t["seconds"])), "plain") for t in found
    ]
    return charts.bars(rows)


def _stage(verdict: Verdict) -> dict[str, object]:
    failed = [result for result in verdict.results if not result.success]
    failed.sort(key=lambda result: result.severity != "critical")
    good = [result for result in verdict.results if result.success]
    return {"verdict": verdict, "failed": [_row((r,)) for r in failed], "good": [_row(group) for group in _alike(good)]}


def _alike(results: Iterable[CheckResult]) -> list[tuple[CheckResult, ...]]:
    groups: dict[tuple[str, str, str], list[CheckResult]] = {}
    for result in results:
        groups.setdefault((result.name, result.expected, result.why), []).append(result)
    return [tuple(group) for group in groups.values()]


def _row(group: tuple[CheckResult, ...]) -> CheckRow:
    first = group[0]
    tone = "ok" if first.success else "bad" if first.severity == "critical" else "warn"
    observed = first.observed if len(group) == 1 else _worst(group)
    return CheckRow(
        tone=tone,
        mark={"ok": "passed", "warn": "warning", "bad": "failed"}[tone],
        kind=first.kind,
        name=first.name,
        targets=tuple(result.target for result in group if result.target),
        observed=observed,
        expected=first.expected,
        why=first.why.strip(),
        sample=first.sample,
    )


def _worst(group: tuple[CheckResult, ...]) -> str:
    counted = [result for result in group if result.unexpected_percent is not None]
    if not counted:
        return f"{len(group)} columns passed"
    worst = max(counted, key=lambda result: result.unexpected_percent or 0.0)
    if not worst.unexpected_percent:
        return "no row that does not fit"
    return f"at most {worst.unexpected_percent:.3g} % ({worst.target})"


def duration(seconds: float) -> str:
    """Write a time for a person."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
