"""A system's turn: its server is started, put under each load, and ended."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.job import ROOT, Job, environment
from benchmarks.serving.asking import PROTOCOLS, in_base64, request_bytes
from benchmarks.serving.load import Measured, Order
from benchmarks.serving.records import CLOSED
from benchmarks.serving.sample import Sample
from benchmarks.serving.search import highest_rate
from benchmarks.serving.server import Server

# Batches and fixed blocks add up in another order; the scores are around 1.
TOLERANCE = 1e-5
OPEN_CLIENTS = 64
SLACK_S = 60.0


class LoadFailed(Exception):
    """The load tool could not do its work."""


@dataclass(frozen=True)
class Plan:
    """Which loads.

    Attributes:
        clients: Of closed loops.
        rates: Arrivals per second of open loops.
        p99_ms: Limit for which the highest rate is searched; none: no search.
        seconds: Of each measurement.
        warm_s: Before each, uncounted.
        seed: Of the arrivals.
    """

    clients: Sequence[int]
    rates: Sequence[float]
    p99_ms: float | None
    seconds: float
    warm_s: float
    seed: int


def take_turn(
    server: Server, job: Job, sample: Sample, *, protocol: str, plan: Plan
) -> Iterator[tuple[str, int, Measured]]:
    """Put a server under each load; give its name, the number of clients and the figures."""
    entry = PROTOCOLS[protocol]
    requests = [request_bytes(entry, row, sample.columns, model=job.model_name) for row in sample.rows]
    texts = in_base64(requests)

    def measure(clients: int, rate: float | None) -> Measured:
        order = Order(
            host=server.host,
            port=server.port,
            requests=texts,
            expected=sample.expected,
            reader=entry.reader,
            tolerance=TOLERANCE,
            clients=clients,
            seconds=plan.seconds,
            warm_s=plan.warm_s,
            rate=rate,
            seed=plan.seed,
        )
        return run_load(order)

    for clients in plan.clients:
        yield CLOSED, clients, measure(clients, None)
    for rate in plan.rates:
        yield f"open at {rate:g}/s", OPEN_CLIENTS, measure(OPEN_CLIENTS, rate)
    if plan.p99_ms is not None:
        guess = measure(OPEN_CLIENTS, None).rps
        found = highest_rate(lambda rate: measure(OPEN_CLIENTS, rate), guess=guess, p99_ms=plan.p99_ms)
        if found is not None:
            yield f"open, p99 <= {plan.p99_ms:g} ms", OPEN_CLIENTS, found


def run_load(order: Order) -> Measured:
    """Run the load tool.

    Raises:
        LoadFailed: It ended with an error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.load"],
        input=json.dumps(asdict(order)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=order.seconds + order.warm_s + SLACK_S,
        check=False,
    )
    if done.returncode != 0:
        raise LoadFailed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"code {done.returncode}")
    return Measured(**json.loads(done.stdout))
