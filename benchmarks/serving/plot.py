"""The plots of `docs/benchmarks-endpoint/`: SVG, the same bytes for the same results."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.plot import OURS, STYLE, TEXT, THEIRS, clean
from benchmarks.serving.records import CLOSED, Record
from benchmarks.serving.systems import BARE


def plot_answers(records: Sequence[Record], path: Path) -> None:
    """Draw answers per second over the bare app's, each system with its fastest format, a panel for each load.

    Args:
        records: Of one workload.
        path: SVG file.
    """
    closed = [record for record in records if record.load == CLOSED and record.rps]
    numbers = sorted({record.clients for record in closed})
    with mpl.rc_context(STYLE):
        bars = [fastest(closed, clients) for clients in numbers]
        figure = Figure(figsize=(8, 0.24 * sum(map(len, bars)) + 0.45 * len(bars)), layout="constrained")
        panels = figure.subplots(len(bars), squeeze=False, height_ratios=[len(each) + 1 for each in bars], sharex=True)
        for axes, clients, shown in zip(panels[:, 0], numbers, bars, strict=True):
            bare = next((record.rps for record in shown if record.system == BARE), None) or 1.0
            shares = [(record.rps or 0.0) / bare for record in shown]
            colours = [OURS if record.system.startswith("lockstep") else THEIRS for record in shown]
            drawn = axes.barh([record.system for record in shown], shares, color=colours, height=0.65)
            axes.bar_label(drawn, [f"{share:.2f}" for share in shares], padding=3)
            axes.axvline(1, color=TEXT, linewidth=0.8, linestyle=":")
            axes.set_title(f"{clients} client{'s' if clients > 1 else ''}: answers/s × the bare app's", loc="left")
            clean(axes)
        figure.savefig(path, metadata={"Date": None})


def fastest(records: Sequence[Record], clients: int) -> list[Record]:
    """Return one record for each system, that of its fastest format; the fastest last, which is drawn on top."""
    best: dict[str, Record] = {}
    for record in records:
        if record.clients == clients and (record.rps or 0) > (
            best[record.system].rps or 0 if record.system in best else 0
        ):
            best[record.system] = record
    return sorted(best.values(), key=lambda record: record.rps or 0.0)
