"""What the endpoint's inference log costs: a request, the event loop, the disk.

    python -m benchmarks.inference_log --rounds 5 --seconds 5

The endpoint with and without the log has its turns under the same closed loops, one row in each request, in an order
that turns from round to round; printed are the medians. Then the parts: processor time that the event loop spends on
handing a micro-batch over, and the writer on a row, for micro-batches of several sizes; and the bytes of a file.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.compare import prepare
from benchmarks.job import SCRATCH, Job
from benchmarks.machine import restrict_cores
from benchmarks.serving.load import Measured
from benchmarks.serving.lockstep_spec import write_spec
from benchmarks.serving.sample import draw_sample
from benchmarks.serving.server import running
from benchmarks.serving.systems import LOCKSTEP, LOCKSTEP_LOG, LOGS, SYSTEMS
from benchmarks.serving.turn import Plan, Turn
from lockstep.run.plan import Column
from lockstep.scoring.scorer import ScoredBatch
from lockstep.scoring.signature import Signature
from lockstep.serving.inference_log.files import finish
from lockstep.serving.inference_log.hand_over import Entry, HandOver
from lockstep.serving.inference_log.layout import Layout, logged_columns
from lockstep.serving.inference_log.recording import record
from lockstep.serving.inference_log.spool import OPEN, Spool
from lockstep.serving.rows import PlainRows, merged
from lockstep.serving.trace import Trace, request_id
from lockstep.serving.work import Scored, Share, Work

WORKLOAD, FORMAT = "mlp20", "dataframe_split"
COLUMNS = 20
SIZES = (1, 8, 32, 64)
REQUESTS, REPEATS = 512, 20
SIGNATURE = Signature(
    tuple(Column(name=f"f{number:02d}", dtype="double") for number in range(COLUMNS)),
    (Column(name="score", dtype="double"),),
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the inference log costs.")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 32], help="of closed loops; none: parts only")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    cores = restrict_cores(options.cores)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    failed = False
    if options.clients:
        job = prepare(WORKLOAD, rows=64, cores=cores)
        failed = measure_endpoint(job, clients=options.clients, seconds=options.seconds, rounds=options.rounds)
    measure_parts()
    return 1 if failed else 0


def measure_endpoint(job: Job, *, clients: Sequence[int], seconds: float, rounds: int) -> bool:
    """Put both endpoints under load in turns; say whether any answer was wrong."""
    write_spec(job)
    sample = draw_sample(job)
    found: dict[tuple[str, int], list[Measured]] = {}
    plan = Plan(clients=clients, rates=(), p99_ms=None, seconds=seconds, warm_s=1.0, seed=1)
    systems = {"without the log": SYSTEMS[LOCKSTEP], "with the log": SYSTEMS[LOCKSTEP_LOG]}
    for number in range(rounds):
        names = list(systems)[:: 1 if number % 2 else -1]
        for name in names:
            with running(name.replace(" ", "-"), systems[name], job) as server:
                for _, count, seen in Turn(server, job.model_name, sample, FORMAT, plan).take(None):
                    found.setdefault((name, count), []).append(seen)
    files = list((LOGS / job.workload).rglob("*.parquet"))
    print(f"{len(files)} files of the log, {sum(file.stat().st_size for file in files) / 2**20:.1f} MiB")
    for (name, count), seen in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
        rps, p50, p99 = (
            statistics.median(getattr(one, what) or 0.0 for one in seen) for what in ("rps", "p50_ms", "p99_ms")
        )
        print(f"{count:>3} clients, {name:<16} {rps:>8,.0f}/s   p50 {p50:6.3f} ms   p99 {p99:6.3f} ms")
    return any(one.errors for seen in found.values() for one in seen)


def measure_parts() -> None:
    """Print the processor time of the parts, the best of several repeats."""
    inputs, outputs = logged_columns(SIGNATURE.inputs, SIGNATURE.outputs, {}, unlisted="keep")
    layout = Layout(
        model_name=WORKLOAD,
        model_version=1,
        model_digest="d" * 64,
        precision="float32",
        device="cpu",
        block_rows=64,
        sample=1.0,
        inputs=inputs,
        outputs=outputs,
    )
    for size in SIZES:
        batches = [micro_batch(size) for _ in range(REQUESTS // size)]
        gc.collect()
        put_s, entries = hand_over(layout, batches)
        record_s = best(lambda entries=entries: record(entries, take_ids=np.arange, salt=b""))
        batch_us, request_us = put_s / len(batches) * 1e6, put_s / REQUESTS * 1e6
        handed = f"hand-over {batch_us:5.2f} us each ({request_us:.2f} us per request)"
        written = f"writer {record_s / REQUESTS * 1e6:.2f} us per request"
        print(f"micro-batches of {size:>2} requests: {handed}, {written}")
    measure_file(layout, entries)


def hand_over(layout: Layout, batches: Sequence[Scored]) -> tuple[float, list[Entry]]:
    """Hand micro-batches over; return the seconds that it takes, and them."""
    made = HandOver(most_rows=10**9, most_bytes=10**12, sample=1)

    def put() -> None:
        for batch in batches:
            made.put(layout, batch)

    seconds = best(put)
    return seconds, made.take(until=float("inf"), most_requests=REQUESTS)


def measure_file(layout: Layout, entries: list[Entry]) -> None:
    """Write a spool and finish it."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        root = Path(folder)
        spool = Spool.create(root / OPEN, "a", layout.arrow_schema, hour=0, now=0.0)
        batch = record(entries, take_ids=np.arange, salt=b"")
        spool_s = best(lambda: spool.append(batch)) / batch.num_rows
        while spool.nbytes < 64 * 2**20:
            spool.append(with_other_values(batch))
        spool.close()
        began, cpu = time.perf_counter(), time.thread_time()
        file = finish(root, spool.path)
        seconds, cpu_s = time.perf_counter() - began, time.thread_time() - cpu
        size = file.stat().st_size if file is not None else 0
        print(f"spool: {spool_s * 1e6:.2f} us and {spool.nbytes / spool.rows:.0f} bytes per row")
        took = f"finished in {seconds:.2f} s ({cpu_s:.2f} s of processor)"
        print(f"file of {spool.rows:,} rows: {took}, {size / 2**20:.1f} MiB")


def with_other_values(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with inputs and score drawn anew, so that they compress as little as real ones."""
    values = np.random.default_rng()
    for name in [*SIGNATURE.names, SIGNATURE.outputs[0].name]:
        batch = batch.set_column(batch.schema.get_field_index(name), name, pa.array(values.random(batch.num_rows)))
    return batch


def best(work: object) -> float:
    """Return the least processor time of several calls, in seconds."""
    least = float("inf")
    for _ in range(REPEATS):
        clock = time.thread_time()
        work()  # type: ignore[operator]
        least = min(least, time.thread_time() - clock)
    return least


def micro_batch(requests: int) -> Scored:
    """Return a micro-batch of requests of one row."""
    values = np.random.default_rng(requests)
    rows = [
        PlainRows(tuple([float(value)] for value in values.random(COLUMNS)), 1, 16 * COLUMNS) for _ in range(requests)
    ]
    shares = [Share(Work(each, None, 0, 0, 0, asked()), 0, 1) for each in rows]  # type: ignore[arg-type]
    return Scored(shares, merged(rows, SIGNATURE), ScoredBatch((values.random(requests),)), 0.0001, SIGNATURE)


def asked() -> Trace:
    """Return the trace of a request that was answered."""
    trace = Trace(request_id(None), edge="invocations")
    trace.stages_s.update(decode=1e-5, queue=1e-5, compute=1e-4, encode=1e-5)
    return trace


if __name__ == "__main__":
    sys.exit(main())
