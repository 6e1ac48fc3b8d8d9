"""What parts of scoring cost alone, on one core: the model in blocks of each size, and the profile of a column.

    .venv/bench/bin/python -m benchmarks.parts --workload mlp20

The figures of docs/adr/0008-certified-blocks.md and 0009-sketches.md come from here.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.compare import prepare
from benchmarks.job import Job
from benchmarks.machine import restrict_cores
from benchmarks.workloads.workload import WORKLOADS
from lockstep.registry.loading import load_scorer
from lockstep.scoring.backends import Execution
from lockstep.scoring.blocks import BlockSizes
from lockstep.scoring.moments import moments_of
from lockstep.scoring.sketches import QuantileSketch

ROWS, ROUNDS = 131_072, 9


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=list(WORKLOADS), default="mlp20")
    parser.add_argument("--rows", type=int)
    options = parser.parse_args()
    print_blocks(prepare(options.workload, rows=options.rows, cores=restrict_cores(1)))
    print_profile()
    return 0


def print_blocks(job: Job) -> None:
    """Search the block sizes of a model anew."""
    scorer = load_scorer(Path(job.model_path), execution=Execution(device="cpu", threads=1))
    scorer.blocks = BlockSizes(scorer.block_rows, search=True)
    with pq.ParquetFile(job.files[0]) as file:
        table = pa.Table.from_batches(file.iter_batches(batch_size=ROWS)).slice(0, ROWS)
    scorer.score(table.combine_chunks().to_batches()[0])
    for shape, ladder in scorer.blocks.ladders.items():
        print(f"{job.workload}, inputs {shape}")
        for size, speed in zip(ladder.sizes, ladder.rows_per_s, strict=True):
            chosen = "  chosen" if size == ladder.best else ""
            print(f"  {size:>7,} rows  {speed:>12,.0f} rows/s  {speed / ladder.rows_per_s[0]:5.1f} x base{chosen}")


def print_profile() -> None:
    """Time sketch and moments on random float32 values."""
    values = np.random.default_rng(0).standard_normal(ROWS, dtype=np.float32)
    for name, function in (("KLL sketch", QuantileSketch().update), ("moments", moments_of)):
        print(f"  {name:<12} {1e9 * median_s(function, values) / ROWS:6.2f} ns a value")


def median_s(function: Callable[..., object], *arguments: object) -> float:
    """Return the median time of a call."""
    took = []
    for _ in range(ROUNDS):
        clock = time.perf_counter()
        function(*arguments)
        took.append(time.perf_counter() - clock)
    return statistics.median(took)


if __name__ == "__main__":
    sys.exit(main())
