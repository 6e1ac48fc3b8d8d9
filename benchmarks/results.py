"""Results on disk: `benchmarks/results/<workload>-<rows>-<warm or cold>.json`, a list with one record a system."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.job import ROOT

RESULTS = ROOT / "benchmarks" / "results"
BARE = "bare"


@dataclass
class Record:
    """What one system did with one workload.

    Attributes:
        workload: Name of the workload.
        system: Name of the system.
        version: Of the packages that decide its speed.
        variant: Which of its variants was the fastest, hence measured.
        mode: "warm" (workers have the model, the whole job is timed) or "cold" (a fresh process to its end).
        rows: Scored in each run.
        machine: What it ran on.
        variants_s: Trial times of all variants, in seconds.
        runs_s: Each run, in seconds, in the order of the rounds.
        first_row_s: Cold only: each run's time to the first rows on disk, in seconds.
        largest_difference: Of a score from the bare loop's.
        median_s: Of `runs_s`.
        ratio_to_bare: Median over the bare loop's median; above 1 is slower.
        median_first_row_s: Of `first_row_s`.
        failed_variants: Variants that could not be tried, with the reason.
        error: Why there are no figures.
        memory: Samples of one more run, when asked for.
    """

    workload: str
    system: str
    version: str
    variant: str
    mode: str
    rows: int
    machine: Mapping[str, Any]
    variants_s: dict[str, list[float]] = field(default_factory=dict)
    runs_s: list[float] = field(default_factory=list)
    first_row_s: list[float] = field(default_factory=list)
    largest_difference: float | None = None
    median_s: float | None = None
    ratio_to_bare: float | None = None
    median_first_row_s: float | None = None
    failed_variants: list[str] = field(default_factory=list)
    error: str | None = None
    memory: dict[str, Any] | None = None


def summarise(records: Sequence[Record]) -> None:
    """Fill in medians and ratios; a system that failed gets none."""
    for record in records:
        if record.error is None and record.runs_s:
            record.median_s = round(statistics.median(record.runs_s), 4)
            if record.first_row_s:
                record.median_first_row_s = round(statistics.median(record.first_row_s), 4)
    bare = next((record.median_s for record in records if record.system == BARE), None)
    for record in records:
        if bare and record.median_s:
            record.ratio_to_bare = round(record.median_s / bare, 3)


def write_results(records: Sequence[Record], folder: Path = RESULTS) -> Path:
    """Write the records of one invocation, replacing those of the same name."""
    first = records[0]
    for record in records:
        record.error = record.error and record.error.replace(str(ROOT), ".")
    path = folder / f"{first.workload}-{first.rows}-{first.mode}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(record) for record in records], indent=1) + "\n", encoding="utf-8")
    return path


def read_results(folder: Path = RESULTS) -> list[list[Record]]:
    """Return the records of every file, by file name."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(folder.glob("*-*-*.json")))
    return [[Record(**facts) for facts in json.loads(text)] for text in texts]
