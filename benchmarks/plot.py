"""The plots of `docs/benchmarks/`: SVG, the same bytes for the same results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import BARE, Record

OURS, THEIRS, TEXT = "#c2410c", "#94a3b8", "#475569"
STYLE: dict[str, Any] = {"svg.hashsalt": "lockstep", "svg.fonttype": "none", "font.size": 9, "text.color": TEXT}


def plot_ratios(races: Sequence[Sequence[Record]], path: Path) -> None:
    """Draw how many times the bare loop's time each system took, a panel for each workload."""
    with mpl.rc_context(STYLE):
        heights = [len(records) + 1 for records in races]
        figure = Figure(figsize=(8, 0.26 * sum(heights) + 0.3), layout="constrained")
        panels = figure.subplots(len(races), squeeze=False, height_ratios=heights)[:, 0]
        for axes, records in zip(panels, races, strict=True):
            shown = [record for record in records if record.ratio_to_bare is not None and record.system != BARE]
            shown.sort(key=lambda record: -(record.ratio_to_bare or 0))
            ratios = [record.ratio_to_bare or 0.0 for record in shown]
            colours = [OURS if record.system == "lockstep" else THEIRS for record in shown]
            bars = axes.barh([record.system for record in shown], ratios, color=colours, height=0.65)
            axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3)
            axes.axvline(1, color=TEXT, linewidth=0.8, linestyle=":")
            axes.set_title(f"{records[0].workload}, {records[0].rows:,} rows: × the bare loop's time", loc="left")
            clean(axes)
        figure.savefig(path, metadata={"Date": None})


def plot_memory(records: Sequence[Record], path: Path) -> None:
    """Draw the resident memory of all processes of each run over time."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots()
        for record in records:
            memory: dict[str, Any] = record.memory or {}
            label = f"{record.system}, {record.workload}, {record.rows:,} rows"
            colour = OURS if record.system == "lockstep" else None
            axes.plot(memory["seconds"], memory["total"], label=label, color=colour)
        axes.set_xlabel("seconds")
        axes.set_ylabel("MB resident, all processes")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        clean(axes)
        figure.savefig(path, metadata={"Date": None})


def clean(axes: Any) -> None:
    """Leave out what says nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, colors=TEXT)
