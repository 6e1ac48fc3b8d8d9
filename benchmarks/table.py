"""Write what was measured into `docs/benchmarks.md`, and its plots beside it, from the results.

.venv/bench/bin/python -m benchmarks.table
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.job import ROOT
from benchmarks.plot import plot_memory, plot_ratios
from benchmarks.results import RESULTS, Record, read_results
from benchmarks.workloads.workload import find_workload

BEGIN, END = "<!-- results: written by benchmarks/table.py -->", "<!-- end of results -->"
NOTHING = "Nothing was measured yet."


def main() -> int:
    """Write page and plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    found = read_results(options.results)
    plots = options.page.with_suffix("")
    plots.mkdir(exist_ok=True)
    text = options.page.read_text(encoding="utf-8")
    options.page.write_text(with_results(text, chapters(found, plots)), encoding="utf-8")
    print(f"{options.page}: {len(found)} results")
    return 0


def with_results(page: str, results: str) -> str:
    """Return the page with the text between its two marks replaced."""
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{results.strip()}\n\n{END}{after}"


def chapters(found: Sequence[Sequence[Record]], plots: Path) -> str:
    """Draw the plots; return all tables as markdown."""
    parts = []
    for mode, title in (("warm", "Warm"), ("cold", "Cold")):
        races = [records for records in found if records[0].mode == mode]
        if not races:
            continue
        plot_ratios(races, plots / f"{mode}.svg")
        parts += [f"### {title}", f"![{title}: time over the bare loop's]({plots.name}/{mode}.svg)"]
        parts += [table(records) for records in races]
    with_memory = [record for records in found for record in records if record.memory]
    if with_memory:
        plot_memory(with_memory, plots / "memory.svg")
        parts += ["### Memory", f"![Memory over time]({plots.name}/memory.svg)", memory_table(with_memory)]
    return "\n\n".join([*parts, *([machine(found)] if found else [NOTHING])])


def table(records: Sequence[Record]) -> str:
    """Return one race as markdown: systems in order of their time, failed ones last."""
    first = records[0]
    cold = first.mode == "cold"
    head = ["system", "median s", *(["first row s"] if cold else []), "rows/s", "× bare", "runs s", "set up as"]
    title = f"**{find_workload(first.workload).title}**, {first.rows:,} rows"
    lines = [title, "", _line(head), _line(["---"] * len(head))]
    for record in sorted(records, key=lambda record: record.median_s or float("inf")):
        if record.median_s is None:
            lines.append(_line([record.system, f"failed: {record.error}", *[""] * (len(head) - 2)]))
            continue
        runs = f"{min(record.runs_s):.3g} – {max(record.runs_s):.3g}, {len(record.runs_s)} of them"
        first_row = [f"{record.median_first_row_s:.2f}"] if cold else []
        speed, ratio = f"{record.rows / record.median_s:,.0f}", f"{record.ratio_to_bare:.2f}"
        variant = "" if record.variant == "default" else record.variant
        lines.append(_line([record.system, f"{record.median_s:.2f}", *first_row, speed, ratio, runs, variant]))
    return "\n".join(lines)


def memory_table(records: Sequence[Record]) -> str:
    """Return the peaks as markdown."""
    head = ["workload", "rows", "system", "peak MB, all", "Python", "largest Python process", "Java"]
    lines = [_line(head), _line(["---"] * len(head))]
    for record in records:
        memory = record.memory or {}
        peaks = [f"{memory[f'peak_{name}']:,}" for name in ("total", "python", "largest_python", "java")]
        lines.append(_line([record.workload, f"{record.rows:,}", record.system, *peaks]))
    return "\n".join(lines)


def machine(found: Sequence[Sequence[Record]]) -> str:
    """Say on what and with which versions it was measured."""
    facts = {tuple(sorted(record.machine.items())) for records in found for record in records}
    machines = (dict(items) for items in sorted(facts, key=str))
    lines = [
        f"{m['processor']}, {m['cores_used']} of {m['cores']} cores, {m['memory_gb']} GB, {m['system']}, "
        f"Python {m['python']}"
        for m in machines
    ]
    versions = sorted({one for records in found for record in records for one in record.version.split(", ")})
    return f"Measured on: {'; '.join(lines)}. Versions: {', '.join(versions)}."


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
