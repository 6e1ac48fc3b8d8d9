"""Lines over days as inline SVG: the score's drift large, a feature's as a sparkline."""

import datetime as dt
from collections.abc import Sequence
from html import escape

from lockstep.quality.drift import ColumnTrend, TrendPoint

WIDTH, HEIGHT = 860, 170
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 14, 34
SPARK_WIDTH, SPARK_HEIGHT, SPARK_EDGE = 120, 24, 4
LINES = 4
MARK = 2.6


def trend_chart(trend: ColumnTrend, *, limit: float | None) -> str | None:
    """Draw a column's index day by day, with its limit as a line, or return `None` for fewer than two days."""
    if len(trend.points) < 2:
        return None
    top = _round_up(max(point.psi for point in trend.points))
    places = _places(trend.points, left=LEFT, right=WIDTH - RIGHT)
    heights = [_y(point.psi, top) for point in trend.points]
    parts = [_grid(top), f'<path class="trend" d="{_line(places, heights)}"/>']
    for x, y, point in zip(places, heights, trend.points, strict=True):
        parts.append(f'<path class="dot" d="{_dot(x, y)}"><title>{escape(_words(point))}</title></path>')
    if limit is not None and limit <= top:
        y = _y(limit, top)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(_days(trend.points))
    first, last = trend.points[0], trend.points[-1]
    label = (
        f"Drift of {trend.column} against training: PSI {first.psi:.3f} on {first.day}, {last.psi:.3f} on {last.day}"
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def sparkline(trend: ColumnTrend | None) -> str | None:
    """Draw a column's index day by day, from 0 to its highest, or return `None` for fewer than two days."""
    if trend is None or len(trend.points) < 2:
        return None
    top = max(*(point.psi for point in trend.points), 1e-9)
    places = _places(trend.points, left=SPARK_EDGE, right=SPARK_WIDTH - SPARK_EDGE)
    room = SPARK_HEIGHT - 2 * SPARK_EDGE
    heights = [SPARK_HEIGHT - SPARK_EDGE - room * point.psi / top for point in trend.points]
    lowest = min(point.psi for point in trend.points)
    label = f"{trend.column}: PSI {lowest:.3f} to {top:.3f} in {len(trend.points)} days"
    return (
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<title>{escape(label)}</title><path class="trend" d="{_line(places, heights)}"/>'
        f'<path class="dot" d="{_dot(places[-1], heights[-1])}"/></svg>'
    )


def value_line(name: str, points: Sequence[tuple[dt.date, float]]) -> str | None:
    """Draw a figure day by day, from its lowest to its highest, or return `None` for fewer than two days."""
    if len(points) < 2:
        return None
    low, high = min(value for _, value in points), max(value for _, value in points)
    first, span = points[0][0], max((points[-1][0] - points[0][0]).days, 1)
    places = [SPARK_EDGE + (SPARK_WIDTH - 2 * SPARK_EDGE) * (day - first).days / span for day, _ in points]
    room = SPARK_HEIGHT - 2 * SPARK_EDGE
    heights = [SPARK_HEIGHT - SPARK_EDGE - room * (value - low) / max(high - low, 1e-12) for _, value in points]
    label = f"{name}: {low:.3f} to {high:.3f} in {len(points)} days"
    return (
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<title>{escape(label)}</title><path class="trend" d="{_line(places, heights)}"/>'
        f'<path class="dot" d="{_dot(places[-1], heights[-1])}"/></svg>'
    )


def _places(points: tuple[TrendPoint, ...], *, left: float, right: float) -> list[float]:
    """Place days by the calendar, so that a gap of days is seen."""
    first = points[0].day
    span = max((points[-1].day - first).days, 1)
    return [left + (right - left) * (point.day - first).days / span for point in points]


def _y(psi: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * psi / top


def _line(places: list[float], heights: list[float]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True))


def _dot(x: float, y: float) -> str:
    return f"M{x - MARK:.1f},{y:.1f}a{MARK},{MARK} 0 1 0 {2 * MARK:.1f},0a{MARK},{MARK} 0 1 0 -{2 * MARK:.1f},0z"


def _words(point: TrendPoint) -> str:
    ks = "" if point.ks is None else f", KS {point.ks:.3f}"
    return f"{_day(point.day)}: PSI {point.psi:.3f}, JS {point.js:.3f}{ks}"


def _day(day: dt.date) -> str:
    return f"{day.day} {day:%B %Y}"


def _round_up(value: float) -> float:
    """Return the next of 1, 2 or 5 times a power of ten, at least 0.1."""
    step = 0.1
    while True:
        for times in (1, 2, 5):
            if times * step >= value:
                return times * step
        step *= 10


def _grid(top: float) -> str:
    lines = []
    for number in range(LINES + 1):
        value = top * number / LINES
        y = _y(value, top)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    return "".join(lines)


def _days(points: tuple[TrendPoint, ...]) -> str:
    y = HEIGHT - BOTTOM + 22
    return (
        f'<text class="tick" x="{LEFT}" y="{y}" text-anchor="start">{_day(points[0].day)}</text>'
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">{_day(points[-1].day)}</text>'
    )
