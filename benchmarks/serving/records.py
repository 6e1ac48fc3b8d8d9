"""Results: one record for each workload, system, protocol, load and number of clients; medians over the rounds."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.load import Measured
from benchmarks.serving.systems import BARE

IN_PROCESS = "in-process"
CLOSED = "closed"
MODEL = "model"


@dataclass
class Record:
    """What one system did under one load.

    Attributes:
        workload: Name of the workload.
        system: Name of the system; `model` is the bare model call without a server.
        protocol: Format of requests and answers.
        clients: Connections: the clients of a closed loop, the most that may be under way in an open one.
        load: "closed", "open at N/s", "open, p99 <= N ms" (the highest rate found for which that holds), "in-process".
        version: Of the packages that decide the system's speed.
        machine: What it ran on.
        p50_ms: Median over the rounds of each round's median latency.
        p99_ms: Median over the rounds of each round's 99th percentile.
        rps: Median over the rounds of right answers per second.
        errors: Of all rounds.
        memory_mb: Of all processes of the server after its turn, the largest of the rounds.
        rounds: Each round's figures.
        error: Why there are no figures.
    """

    workload: str
    system: str
    protocol: str
    clients: int
    load: str
    version: str
    machine: Mapping[str, Any]
    p50_ms: float | None = None
    p99_ms: float | None = None
    rps: float | None = None
    errors: int = 0
    memory_mb: float | None = None
    rounds: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """By which rounds are brought together."""
        return (self.workload, self.load, self.system, self.protocol, self.clients)

    @property
    def failure(self) -> str:
        """Why there is no rate of answers."""
        nothing = f"no right answer, {self.errors} errors" if self.errors else "not within the limit at any rate tried"
        return self.error or nothing

    def add(self, measured: Measured) -> None:
        """Take in a round."""
        self.rounds.append(asdict(measured))
        self.errors += sum(measured.errors.values())
        self.p50_ms = _median(entry["p50_ms"] for entry in self.rounds)
        self.p99_ms = _median(entry["p99_ms"] for entry in self.rounds)
        self.rps = _median(entry["rps"] for entry in self.rounds)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None


def write_records(records: Sequence[Record], path: Path) -> None:
    """Write the records; those of other workloads that are in the file stay."""
    measured = {record.workload for record in records}
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [record for record in known if record["workload"] not in measured]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*kept, *map(asdict, records)], indent=1) + "\n", encoding="utf-8")


def print_table(records: Sequence[Record]) -> None:
    """Print the figures, and how they compare with the bare app's under the same load."""
    bare = {(r.workload, r.load, r.clients): r for r in records if r.system == BARE}
    group = None
    for record in sorted(records, key=_order):
        if group != (group := (record.workload, record.load, record.clients)):
            print(f"\n{record.workload}, {record.load}, {record.clients} clients")
            print(f"  {'system':<28} {'p50 ms':>9} {'p99 ms':>9} {'answers/s':>11} {'x bare':>7} {'MB':>7}  errors")
        title = f"{record.system} {'' if record.protocol == 'plain' else record.protocol}"
        if record.error or not record.rps:
            print(f"  {title:<28} {record.failure}")
            continue
        base = bare.get((record.workload, record.load, record.clients))
        ratio = f"{record.rps / base.rps:7.2f}" if base and base.rps else " " * 7
        print(
            f"  {title:<28} {record.p50_ms or 0:9.3f} {record.p99_ms or 0:9.3f} {record.rps:11,.0f} {ratio} "
            f"{record.memory_mb or 0:7,.0f}  {record.errors or ''}"
        )


def _order(record: Record) -> tuple[str, str, int, float]:
    return (record.workload, record.load, record.clients, -(record.rps or 0))
