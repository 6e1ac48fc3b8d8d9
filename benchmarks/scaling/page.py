"""Write what was measured, and what follows from it, into `docs/scaling.md`: `python -m benchmarks.scaling.page`.

Prices are parameters: assumptions, not facts.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.job import ROOT
from benchmarks.scaling import cores
from benchmarks.scaling.capacity import Prices, capacity_tables
from benchmarks.scaling.fitting import exponent, grouped

BEGIN, END = "<!-- results: written by benchmarks/scaling/page.py -->", "<!-- end of results -->"
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "scaling.md"
PLOT = ROOT / "docs" / "scaling" / "steps.svg"
# Step to what it does; those in brackets are no part of a run, but for comparison.
TITLES = {
    "snapshot": "plan: list the files of the day",
    "plan_file": "plan: digest the files, write and read `plan.json`",
    "units": "units: read all footers, cut, write `input.json`",
    "input_read": "read `input.json`",
    "todo": "score: find the units that are left",
    "todo_each": "(the same, a look at each unit by itself, as before)",
    "queue": "score: offer the units to tasks",
    "queue_clear": "score: remove the queue",
    "first_look": "score: progress, first look at finished units",
    "next_look": "score: progress, another look",
    "manifest": "score: read results, merge profiles, write `manifest.json`, find strays",
    "strays": "score: find strays again",
    "manifest_read": "read `manifest.json`",
    "account": "audit: account for units and rows",
    "audit": "audit: size and hash of staged files",
    "publish": "publish: verify staged files, read their footers",
}
LEDGER = ("claim", "live", "newest live", "history", "earlier runs", "claim and publish", "lineage", "retention")


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core-hour", type=float, default=Prices.core_hour)
    parser.add_argument("--thousand-writes", type=float, default=Prices.thousand_writes)
    parser.add_argument("--thousand-reads", type=float, default=Prices.thousand_reads)
    options = parser.parse_args()
    prices = Prices(options.core_hour, options.thousand_writes, options.thousand_reads)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN, 1)
    _, after = rest.split(END, 1)
    PAGE.write_text(f"{before}{BEGIN}\n\n{chapters(prices)}\n\n{END}{after}", encoding="utf-8")
    from benchmarks.scaling.plot import plot_steps

    PLOT.parent.mkdir(exist_ok=True)
    measured = json.loads((RESULTS / "scaling.json").read_text(encoding="utf-8"))["measured"]
    plot_steps(measured, {step: title for step, title in TITLES.items() if not title.startswith("(")}, PLOT)
    print(f"{PAGE}: written")
    return 0


def chapters(prices: Prices) -> str:
    """Return all tables as markdown."""
    known = json.loads((RESULTS / "scaling.json").read_text(encoding="utf-8"))
    measured = known["measured"]
    plot = f"![Processor seconds of the costliest steps over work units]({PLOT.parent.name}/{PLOT.name})"
    parts = ["### Steps around Spark, by work units", plot, steps_table(measured), bytes_line(measured)]
    parts += ["### The ledger, by partitions (days)", ledger_table(measured)]
    parts += ["### From one core to two", cores_table(), "### Capacity"]
    parts += capacity_tables(measured, RESULTS, prices)
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known["machine"].items())
    return "\n\n".join([*parts, f"Measured on: {facts}."])


def steps_table(measured: Sequence[dict[str, Any]]) -> str:
    """Return processor seconds and peak memory of each step, and the exponents of both."""
    by_step = grouped(measured)
    sizes = sorted({one["size"] for one in measured if one["step"] in TITLES})
    lines = [_line(["step", *(f"{size:,}" for size in sizes), "exponent", "wall s of the last", "peak MB of the last"])]
    lines.append(_line(["---", *["---:"] * (len(sizes) + 3)]))
    for step, title in TITLES.items():
        found = by_step.get(step, {})
        if found:
            last = found[max(found)]
            cells = [_seconds(found[size]["cpu_s"]) if size in found else "" for size in sizes]
            power = exponent(found, "cpu_s")
            lines.append(_line([title, *cells, _power(power), _seconds(last["seconds"]), f"{last['peak_mb']:,.0f}"]))
    return "\n".join(lines)


def bytes_line(measured: Sequence[dict[str, Any]]) -> str:
    """Say how large the records are."""
    found = grouped(measured).get("bytes", {})
    largest = found[max(found)]
    told = ", ".join(f"`{name}` {value / 2**20:,.0f} MiB" for name, value in largest.items() if name.endswith(".json"))
    return f"Records of {max(found):,} units: {told}."


def ledger_table(measured: Sequence[dict[str, Any]]) -> str:
    """Return wall seconds of what is asked of a ledger."""
    by_step = grouped(measured)
    sizes = sorted({one["size"] for one in measured if one["step"].startswith("duckdb ")})
    lines = [
        _line(["asked", *(f"{size:,}" for size in sizes), "exponent"]),
        _line(["---", *["---:"] * (len(sizes) + 1)]),
    ]
    for kind in ("duckdb", "postgresql"):
        for name in LEDGER:
            found = by_step.get(f"{kind} {name}", {})
            if found:
                cells = [_seconds(found[size]["seconds"]) if size in found else "" for size in sizes]
                lines.append(_line([f"{kind}: {name}", *cells, _power(exponent(found, "seconds"))]))
    return "\n".join(lines)


def cores_table() -> str:
    """Return what a second core adds, of the bare loop and of Lockstep."""
    measured = json.loads(cores.RESULTS.read_text(encoding="utf-8"))["measured"]
    lines = [_line(["workload", "rows", "system", "s, one core", "s, two", "efficiency", "of the bare loop's"])]
    lines.append(_line(["---", "---:", "---", *["---:"] * 4]))
    bare = {one["workload"]: cores.efficiency(one) for one in measured if one["system"] == cores.BARE}
    for one in measured:
        found = cores.efficiency(one)
        cells = [one["workload"], f"{one['rows']:,}", one["system"], *map(_seconds, cores.medians(one))]
        lines.append(_line([*cells, f"{found:.0%}", f"{found / bare[one['workload']]:.0%}"]))
    return "\n".join(lines)


def _power(power: float | None) -> str:
    return "" if power is None else f"{power:.2f}"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:,.1f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
