"""What follows from what was measured: rows per hour, cost, and where the driver and the store become the limit.

All but one machine is extrapolated: workers take nothing from each other, so their speed is taken to add up.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scaling.fitting import grouped

EXECUTORS, CORES = (1, 10, 100, 1_000), 4
# Of a recorded benchmark: what it is, and bytes of its columns per row; none: what a row has varies.
WORKLOADS = {
    "mlp20-100000000-warm": ("20 numbers, small network", 80),
    "mlp200-1000000-warm": ("200 numbers, small network", 800),
    "trees-1000000-warm": ("20 numbers, 100 boosted trees", 80),
    "image-60000-warm": ("images of 3 × 32 × 32, residual network", 3072),
    "text-6000-warm": ("texts, MiniLM", None),
}
TABLE = "mlp20-100000000-warm"
MIB, UNIT_ROWS = 2**20, 2 * 2**20
UNIT_BYTES = (128 * MIB, 1024 * MIB)
# What the driver does alone, for each unit.
DRIVER = ("input_read", "todo", "queue", "first_look", "manifest")
# Held by tests/unit/scoring/test_requests.py: of a worker for a unit; and the driver reads each result twice.
WRITES_PER_UNIT, READS_PER_UNIT = 9, 4
BILLION = 1e9


@dataclass(frozen=True)
class Prices:
    """Assumptions, in any currency.

    Attributes:
        core_hour: Of a core with its share of memory.
        thousand_writes: Requests that write or list.
        thousand_reads: Requests that read.
    """

    core_hour: float = 0.05
    thousand_writes: float = 0.005
    thousand_reads: float = 0.0004


@dataclass(frozen=True)
class Cluster:
    """Executors at work on units of a size."""

    executors: int
    core_rows_s: float
    unit_rows: int
    driver_s: float

    @property
    def cores(self) -> int:
        """Of all executors."""
        return self.executors * CORES

    @property
    def units_s(self) -> float:
        """Units that all workers finish in a second."""
        return self.cores * self.core_rows_s / self.unit_rows

    @property
    def driver_share(self) -> float:
        """Time that the driver works alone, for each second of the workers'."""
        return self.units_s * self.driver_s

    @property
    def rows_h(self) -> float:
        """Rows per hour, the driver's own time included."""
        return self.cores * self.core_rows_s * 3600 / (1 + self.driver_share)

    def cost(self, prices: Prices) -> tuple[float, float, float]:
        """Return core-hours for a billion rows, their price, and that of the store's requests."""
        core_hours = BILLION / self.rows_h * self.cores
        units = BILLION / self.unit_rows / 1000
        requests = units * (WRITES_PER_UNIT * prices.thousand_writes + READS_PER_UNIT * prices.thousand_reads)
        return core_hours, core_hours * prices.core_hour, requests


def capacity_tables(measured: Sequence[dict[str, Any]], results: Path, prices: Prices) -> list[str]:
    """Return tables and sentences."""
    speeds = {name: speed_of(results / f"{name}.json") for name in WORKLOADS}
    driver_s = driver_seconds(measured)
    told = (
        f"Of the driver alone: {driver_s * 1000:.2f} ms for each unit ({', '.join(DRIVER)} of the largest run above, "
        f"processor time, in a file system in memory; a store's answers come on top). An executor has {CORES} cores. "
        f"Assumed prices: {prices.core_hour} for a core-hour, {prices.thousand_writes} for 1,000 writing or listing "
        f"requests, {prices.thousand_reads} for 1,000 reading ones."
    )
    alone = "**Workers alone**, rows per hour; what a core does is measured, on two cores; the rest are multiples of it"
    limits = "**A table of 20 numbers**, with the driver's own time, by size of units"
    return [told, alone, workers_table(speeds), limits, limits_table(speeds[TABLE], driver_s, prices)]


def speed_of(path: Path) -> float:
    """Return the recorded rows per second and core of Lockstep."""
    record = next(one for one in json.loads(path.read_text(encoding="utf-8")) if one["system"] == "lockstep")
    return float(record["rows"] / record["median_s"] / record["machine"]["cores_used"])


def driver_seconds(measured: Sequence[dict[str, Any]]) -> float:
    """Return what the driver does for each unit, by the largest run."""
    by_step = grouped(measured)
    largest = max(size for size in by_step[DRIVER[0]] if all(size in by_step[step] for step in DRIVER))
    return float(sum(by_step[step][largest]["cpu_s"] for step in DRIVER) / largest)


def workers_table(speeds: dict[str, float]) -> str:
    """Return rows per hour of each workload."""
    head = ["workload", "rows/s and core", *(f"{count:,} executor{'s' if count > 1 else ''}" for count in EXECUTORS)]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for name, (title, _) in WORKLOADS.items():
        cells = [_short(speeds[name] * CORES * count * 3600) for count in EXECUTORS]
        lines.append(_line([title, f"{speeds[name]:,.0f}", *cells]))
    return "\n".join(lines)


def limits_table(core_rows_s: float, driver_s: float, prices: Prices) -> str:
    """Return what a cluster reaches and costs."""
    head = [
        "units of",
        "executors",
        "units/s",
        "requests/s",
        "driver alone",
        "rows per hour",
        "core-hours",
        "cores' price",
    ]
    head += ["requests' price"]
    lines = [_line(head), _line(["---:"] * len(head))]
    width = WORKLOADS[TABLE][1] or 1
    for unit_bytes in UNIT_BYTES:
        rows = unit_bytes // width
        for count in EXECUTORS:
            at = Cluster(count, core_rows_s, rows, driver_s)
            core_hours, price, requests = at.cost(prices)
            share = at.driver_share / (1 + at.driver_share)
            cells = [f"{unit_bytes // MIB:,} MiB", f"{count:,}", f"{at.units_s:,.0f}"]
            cells += [f"{at.units_s * (WRITES_PER_UNIT + READS_PER_UNIT):,.0f}", f"{share:.0%}", _short(at.rows_h)]
            lines.append(_line([*cells, f"{core_hours:.3f}", f"{price:.4f}", f"{requests:.4f}"]))
    return "\n".join(lines) + "\n\nCore-hours and prices are those of a billion rows."


def _short(value: float) -> str:
    for power, name in ((12, "T"), (9, "G"), (6, "M")):
        if value >= 10**power:
            return f"{value / 10**power:.3g} {name}"
    return f"{value:,.0f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
