"""Write what was measured into `docs/benchmarks-endpoint.md`, with plots: `python -m benchmarks.serving.page`."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.job import ROOT
from benchmarks.serving.records import CLOSED, IN_PROCESS, Record
from benchmarks.serving.systems import BARE

BEGIN, END = "<!-- results: written by benchmarks/serving/page.py -->", "<!-- end of results -->"
HEAD = ("system", "format", "p50 ms", "p99 ms", "answers/s", "of bare", "MB", "errors")


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "serving.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks-endpoint.md")
    options = parser.parse_args()
    records = [Record(**facts) for facts in json.loads(options.results.read_text(encoding="utf-8"))]
    before, rest = options.page.read_text(encoding="utf-8").split(BEGIN, 1)
    _, after = rest.split(END, 1)
    plots = options.page.with_suffix("")
    plots.mkdir(exist_ok=True)
    options.page.write_text(f"{before}{BEGIN}\n\n{chapters(records, plots)}\n\n{END}{after}", encoding="utf-8")
    print(f"{options.page}: {len(records)} results")
    return 0


def chapters(records: Sequence[Record], plots: Path) -> str:
    """Draw a plot for each workload; return it and a table for each load, and what it was measured on."""
    from benchmarks.serving.plot import plot_answers

    bare = {(r.workload, r.load, r.clients): r for r in records if r.system == BARE}
    parts = []
    for workload, group in groupby(sorted(records, key=_place), key=lambda r: r.workload):
        of_workload = list(group)
        parts.append(f"### {workload}")
        if any(r.load == CLOSED and r.rps for r in of_workload):
            plot_answers(of_workload, plots / f"{workload}.svg")
            parts.append(
                f"![{workload}: answers per second over the bare app's, closed loops]({plots.name}/{workload}.svg)"
            )
        for (load, clients), of_load in groupby(of_workload, key=lambda r: (r.load, r.clients)):
            fastest = sorted(of_load, key=lambda r: -(r.rps or 0.0))
            parts += [f"**{title(load, clients)}**", table(fastest, bare.get((workload, load, clients)))]
    return "\n\n".join([*parts, measured_on(records)])


def title(load: str, clients: int) -> str:
    """Return the name of a load for people."""
    if load == CLOSED:
        return f"Closed loop, {clients} client{'s' if clients > 1 else ''}"
    if load == IN_PROCESS:
        return "The bare model call, in its process"
    return f"{load[:1].upper()}{load[1:]}" + (f", at most {clients} connections" if clients else "")


def table(records: Iterable[Record], bare: Record | None) -> str:
    """Return one load as markdown."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    for r in records:
        if r.error or not r.rps:
            lines.append(_line([r.system, r.protocol, f"failed: {r.failure}", *[""] * 4, str(r.errors)]))
            continue
        share = f"{r.rps / bare.rps:.2f}" if bare and bare.rps else ""
        memory = f"{r.memory_mb:,.0f}" if r.memory_mb else ""
        times = [f"{r.p50_ms or 0:.3g}", f"{r.p99_ms or 0:.3g}"]
        lines.append(_line([r.system, r.protocol, *times, f"{r.rps:,.0f}", share, memory, str(r.errors or "")]))
    return "\n".join(lines)


def measured_on(records: Sequence[Record]) -> str:
    """Say on what and with which versions it was measured."""
    machines = {json.dumps(r.machine): r.machine for r in records}.values()
    facts = "; ".join(
        f"{m['processor']}, {m['cores_used']} of {m['cores']} cores, {m['memory_gb']} GB, {m['system']}, "
        f"Python {m['python']}"
        for m in machines
    )
    versions = sorted({one for r in records for one in r.version.split(", ") if one})
    rounds = max((len(r.rounds) for r in records), default=0)
    counted = f"Medians of {rounds} rounds." if rounds > 1 else "One round."
    return f"{counted} Measured on: {facts}. Versions: {', '.join(versions)}."


def _place(record: Record) -> tuple[str, bool, str, int]:
    return (record.workload, record.load != CLOSED, record.load, record.clients)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
