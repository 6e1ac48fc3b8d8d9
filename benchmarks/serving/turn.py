"""A system's turn: its server is started, put under each load, and ended."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.job import ROOT, environment
from benchmarks.serving.asking import PROTOCOLS, in_base64, request_bytes
from benchmarks.serving.load import Measured, Order
from benchmarks.serving.records import CLOSED
from benchmarks.serving.sample import Sample
from benchmarks.serving.search import highest_rate
from benchmarks.serving.server import Server

# Batches and fixed blocks add up in another order; the scores are around 1.
TOLERANCE = 1e-5
OPEN_CLIENTS = 64
# Where the search begins, as a share of what closed loops reached.
BELOW_CLOSED = 0.9
# At no rate that was tried does the server keep within the limit.
NONE_FOUND = Measured(0, None, None, rps=0.0, errors={}, late_p99_ms=None, largest_difference=0.0, tool_cpu=0.0)
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


@dataclass(frozen=True)
class Turn:
    """A server that is ready, and what it is asked.

    Attributes:
        server: The server.
        model: Name of the registered model.
        sample: The rows.
        protocol: Name in `PROTOCOLS`.
        plan: The loads.
    """

    server: Server
    model: str
    sample: Sample
    protocol: str
    plan: Plan

    def take(self, known_rate: float | None) -> Iterator[tuple[str, int, Measured]]:
        """Put the server under each load; give its name, the number of clients and the figures.

        Args:
            known_rate: What an earlier search found.
        """
        plan = self.plan
        busiest = 0.0
        for clients in plan.clients:
            seen = run_load(self.order(clients=clients))
            busiest = max(busiest, seen.rps)
            yield CLOSED, clients, seen
        for rate in plan.rates:
            yield f"open at {rate:g}/s", OPEN_CLIENTS, run_load(self.order(clients=OPEN_CLIENTS, rate=rate))
        if plan.p99_ms is not None:
            first = known_rate or BELOW_CLOSED * (busiest or run_load(self.order(clients=OPEN_CLIENTS)).rps)
            found = self._search(first, p99_ms=plan.p99_ms) if first else None
            yield search_name(plan.p99_ms), OPEN_CLIENTS, found or NONE_FOUND

    def _search(self, first: float, *, p99_ms: float) -> Measured | None:
        def measure(rate: float) -> Measured:
            return run_load(self.order(clients=OPEN_CLIENTS, rate=rate))

        return highest_rate(measure, first=first, p99_ms=p99_ms)

    def order(self, *, clients: int, rate: float | None = None) -> Order:
        """Return the load tool's order for one load."""
        entry, sample = PROTOCOLS[self.protocol], self.sample
        requests = [request_bytes(entry, row, sample.columns, model=self.model) for row in sample.rows]
        return Order(
            host=self.server.host,
            port=self.server.port,
            requests=in_base64(requests),
            expected=sample.expected,
            reader=entry.reader,
            tolerance=TOLERANCE,
            clients=clients,
            seconds=self.plan.seconds,
            warm_s=self.plan.warm_s,
            rate=rate,
            seed=self.plan.seed,
        )


def search_name(p99_ms: float) -> str:
    """Return by which name the search's result goes."""
    return f"open, p99 <= {p99_ms:g} ms"


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
