"""The drift section of the report: score and features, three figures, two references, and the days before."""

from dataclasses import dataclass

from lockstep.quality.drift import ColumnDrift
from lockstep.quality.drift_limits import bound_of
from lockstep.quality.verdict import Verdict
from lockstep.report.charts import drift_place
from lockstep.report.trends import sparkline, trend_chart
from lockstep.specs.drift_spec import METRICS, Metric, Reference
from lockstep.specs.spec import ScoringSpec

SHOWN = 10


@dataclass(frozen=True)
class Cell:
    """One figure: its text, what a reader sees on pointing at it, and its tone (plain, warn or bad)."""

    text: str
    title: str
    tone: str


@dataclass(frozen=True)
class DriftRow:
    """One column.

    Attributes:
        place: Length of the bar, 0..1, of its index against the first reference that was measured.
        training, trailing: A cell for each metric; empty where the reference was not measured.
        trend: Sparkline as SVG, if there are days to draw.
    """

    column: str
    place: float
    tone: str
    training: tuple[Cell, ...]
    trailing: tuple[Cell, ...]
    trend: str | None


@dataclass(frozen=True)
class DriftView:
    """The section.

    Attributes:
        first: The score and the features that moved most; `rest` the others.
        chart: The score's trend as SVG, if there are days to draw.
        days: Published days of the trailing window; `wanted` how many make it a reference, `unreadable` how many more
            were published, by runs that can no longer be read.
    """

    first: tuple[DriftRow, ...]
    rest: tuple[DriftRow, ...]
    chart: str | None
    has_training: bool
    has_trailing: bool
    days: int
    unreadable: int
    window_days: int
    wanted: int
    score_limit: float


def drift_view(verdict: Verdict | None, spec: ScoringSpec) -> DriftView | None:
    """Arrange what an audit measured, or return `None` when it measured nothing."""
    if verdict is None or not verdict.drift:
        return None
    by_column: dict[str, dict[Reference, ColumnDrift]] = {}
    for drift in verdict.drift:
        by_column.setdefault(drift.column, {})[drift.reference] = drift
    names = sorted(by_column, key=lambda name: name != spec.output.column)  # the score first, else as measured
    trends = {trend.column: trend for trend in verdict.trends}
    rows = [_row(name, by_column[name], spec, trend=sparkline(trends.get(name))) for name in names]
    limit = bound_of(spec, spec.output.column, reference="training", metric="psi")
    score_trend = trends.get(spec.output.column)
    return DriftView(
        first=tuple(rows[: SHOWN + 1]),
        rest=tuple(rows[SHOWN + 1 :]),
        chart=trend_chart(score_trend, limit=limit) if score_trend else None,
        has_training=any("training" in found for found in by_column.values()),
        has_trailing=any("trailing" in found for found in by_column.values()),
        days=len(verdict.window.days) if verdict.window else 0,
        unreadable=verdict.window.unreadable if verdict.window else 0,
        window_days=spec.drift.window_days,
        wanted=spec.drift.min_days,
        score_limit=spec.limits.max_drift_psi if limit is None else limit,
    )


def _row(name: str, found: dict[Reference, ColumnDrift], spec: ScoringSpec, *, trend: str | None) -> DriftRow:
    shown = found.get("training") or found["trailing"]
    cells = {reference: tuple(_cell(drift, metric, spec) for metric in METRICS) for reference, drift in found.items()}
    limit = bound_of(spec, name, reference=shown.reference, metric="psi")
    return DriftRow(
        column=name,
        place=drift_place(shown.psi),
        tone="plain" if limit is None else _tone(shown.psi, limit, bad=_over(spec, name)),
        training=cells.get("training", ()),
        trailing=cells.get("trailing", ()),
        trend=trend,
    )


def _cell(drift: ColumnDrift, metric: Metric, spec: ScoringSpec) -> Cell:
    value = drift.value(metric)
    if value is None:
        return Cell("", "not defined for texts, which have no order" if drift.kind == "categorical" else "", "plain")
    bound = bound_of(spec, drift.column, reference=drift.reference, metric=metric)
    text, title = f"{value:.3f}", "" if bound is None else f"limit {bound:g}"
    if metric == "ks" and drift.ks_above:
        low, high = value - drift.ks_below, value + drift.ks_above
        text = text if drift.ks_below else f"≥ {text}"
        title = f"between {low:.3f} and {high:.3f}" + (f"; {title}" if title else "")
    over = bound is not None and value > bound
    return Cell(text, title, _over(spec, drift.column) if over else "plain")


def _over(spec: ScoringSpec, column: str) -> str:
    critical = spec.drift.limits_of(column, score=spec.output.column).severity == "critical"
    return "bad" if critical else "warn"


def _tone(psi: float, limit: float, *, bad: str) -> str:
    return bad if psi > limit else "warn" if psi >= limit / 2 else "ok"
