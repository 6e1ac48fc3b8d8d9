"""Charts as inline SVG, drawn here so that the report needs no script and no other file."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lockstep.quality.drift import LARGE, SHIFTED
from lockstep.quality.histogram import ScoreHistogram

WIDTH, HEIGHT = 860, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 14, 40
TICKS = 5


@dataclass(frozen=True)
class Bar:
    """A bar of a list: its label, its figure as text, its length as a share of the longest (0..1), and its tone."""

    label: str
    figure: str
    share: float
    tone: str = "plain"


def bars(rows: Sequence[tuple[str, float, str, str]], *, whole: float | None = None) -> list[Bar]:
    """Scale (label, value, figure, tone) to bars; `whole` is the value of a full one (default: the largest)."""
    full = whole if whole is not None else max((value for _, value, _, _ in rows), default=0)
    return [Bar(label, figure, min(value / full, 1.0) if full else 0.0, tone) for label, value, figure, tone in rows]


def drift_place(psi: float) -> float:
    """Place an index (0 to any size) on a scale of 0..1 on which the upper threshold lies in the middle."""
    return psi / (psi + LARGE)


def thresholds() -> list[tuple[float, str]]:
    """Return the places (0..1) and labels of the two thresholds."""
    return [(drift_place(SHIFTED), f"{SHIFTED:g}"), (drift_place(LARGE), f"{LARGE:g}")]


def score_chart(score: ScoreHistogram) -> str:
    """Draw the histogram of this run as bars and that of training as a stepped line."""
    highest = max(*score.shares, *(score.baseline or ()), 1e-9)
    top = _round_up(highest)
    width = (WIDTH - LEFT - RIGHT) / len(score.shares)
    parts = [_grid(top)]
    for index, share in enumerate(score.shares):
        x, y = LEFT + index * width, _y(share, top)
        label = f"{score.edges[index]:.4g} to {score.edges[index + 1]:.4g}: {100 * share:.1f} % of this run"
        if score.baseline:
            label += f", {100 * score.baseline[index]:.1f} % of training"
        height = HEIGHT - BOTTOM - y
        parts.append(
            f'<rect class="run" x="{x + 0.5:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}">'
            f"<title>{escape(label)}</title></rect>"
        )
    if score.baseline:
        parts.append(f'<path class="training" d="{_steps(score.baseline, width, top)}"/>')
    parts += [_mean(score.mean, score, "run"), _axis(score.edges[0], score.edges[-1])]
    text = f"Histogram of the score: mean {score.mean:.3f} in this run"
    if score.baseline_mean is not None:
        parts.append(_mean(score.baseline_mean, score, "training"))
        text += f", {score.baseline_mean:.3f} in training"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(text)}">{"".join(parts)}</svg>'


def _y(share: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share / top


def _round_up(share: float) -> float:
    return next((step for step in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75) if step >= share), 1.0)


def _grid(top: float) -> str:
    lines = []
    for tick in range(TICKS):
        share = top * tick / (TICKS - 1)
        y = _y(share, top)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * share:.3g} %</text>')
    return "".join(lines)


def _axis(low: float, high: float) -> str:
    labels = []
    for tick in range(TICKS + 1):
        at = tick / TICKS
        x = LEFT + at * (WIDTH - LEFT - RIGHT)
        anchor = "start" if tick == 0 else "end" if tick == TICKS else "middle"
        value = f"{low + at * (high - low):.3g}"
        labels.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 24}" text-anchor="{anchor}">{value}</text>'
        )
    return "".join(labels)


def _steps(shares: Sequence[float], width: float, top: float) -> str:
    points = [f"M{LEFT:.1f},{_y(shares[0], top):.1f}"]
    for index, share in enumerate(shares):
        points.append(f"V{_y(share, top):.1f}H{LEFT + (index + 1) * width:.1f}")
    return "".join(points)


def _mean(value: float, score: ScoreHistogram, kind: str) -> str:
    low, high = score.edges[0], score.edges[-1]
    x = LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)
    y = HEIGHT - BOTTOM
    return f'<path class="mean {kind}" d="M{x:.1f},{y}l-5,9h10z"><title>mean {value:.4g}</title></path>'
