"""The plot of `docs/scaling/`: SVG, the same bytes for the same results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.plot import STYLE, TEXT, clean
from benchmarks.scaling.fitting import grouped

# The rest would lie upon each other.
SHOWN = 6


def plot_steps(measured: Sequence[dict[str, Any]], titles: Mapping[str, str], path: Path) -> None:
    """Draw processor seconds over work units for the steps that cost most.

    Args:
        measured: One dict for each step and size.
        titles: Step to its name; other steps are not looked at.
        path: SVG file.
    """
    by_step = {step: found for step, found in grouped(measured).items() if step in titles}
    common = max(set.intersection(*(set(found) for found in by_step.values())))
    costly = sorted(by_step, key=lambda step: -by_step[step][common]["cpu_s"])[:SHOWN]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.subplots()
        for step in costly:
            sizes = sorted(by_step[step])
            axes.plot(
                sizes,
                [by_step[step][size]["cpu_s"] for size in sizes],
                marker="o",
                markersize=3,
                label=titles[step].replace("`", ""),
            )
        axes.plot(
            [1_000, 1_000_000], [0.01, 10], color=TEXT, linewidth=0.8, linestyle=":", label="in line with the units"
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("work units")
        axes.set_ylabel("processor seconds")
        figure.legend(loc="outside lower left", ncols=2, frameon=False)
        clean(axes)
        figure.savefig(path, metadata={"Date": None})
