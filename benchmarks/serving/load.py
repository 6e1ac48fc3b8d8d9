"""The load tool: reads its orders from standard input and prints what it saw, both as one JSON object.

It is a process of its own, so that nothing else of the benchmark takes its time, and it makes no garbage to collect.
"""

import base64
import gc
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.serving.loop import Pool, Tally, closed_loop, open_loop
from benchmarks.serving.reading import Checker


@dataclass(frozen=True)
class Order:
    """What to do.

    Attributes:
        host: Of the server.
        port: Of the server.
        requests: Whole requests, in base64.
        expected: The right score of each.
        reader: Name of the format of the answers.
        tolerance: Largest allowed difference of a score.
        clients: Connections.
        seconds: That count.
        warm_s: Seconds before them, which do not count.
        rate: Arrivals per second; none: closed loop.
        seed: Of the arrivals.
    """

    host: str
    port: int
    requests: list[str]
    expected: list[float]
    reader: str
    tolerance: float
    clients: int
    seconds: float
    warm_s: float
    rate: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Measured:
    """What was seen.

    Attributes:
        answers: Right ones within the counted seconds.
        p50_ms: Median latency of right answers.
        p99_ms: The 99th percentile.
        rps: Right answers per second.
        errors: Kind of failure -> how often.
        late_p99_ms: Open loop: by how much the tool itself was late, the 99th percentile.
        largest_difference: Of a score from the bare model's.
        tool_cpu: Share of a core that the load tool used.
    """

    answers: int
    p50_ms: float | None
    p99_ms: float | None
    rps: float
    errors: dict[str, int]
    late_p99_ms: float | None
    largest_difference: float
    tool_cpu: float


def main() -> int:
    """Obey one order."""
    print(json.dumps(asdict(obey(Order(**json.loads(sys.stdin.read()))))))
    return 0


def obey(order: Order) -> Measured:
    """Put the load on the server."""
    requests = [base64.b64decode(text) for text in order.requests]
    checker = Checker(order.reader, order.expected, tolerance=order.tolerance)
    pool = Pool((order.host, order.port), requests, checker, size=order.clients)
    gc.collect()
    gc.disable()
    before, began = os.times(), os.times().elapsed
    if order.rate is None:
        tally = closed_loop(pool, warm_s=order.warm_s, seconds=order.seconds)
    else:
        tally = open_loop(pool, rate=order.rate, warm_s=order.warm_s, seconds=order.seconds, seed=order.seed)
    after = os.times()
    cpu_s = after.user + after.system - before.user - before.system
    pool.close()
    return summarise(tally, checker, tool_cpu=cpu_s / (after.elapsed - began))


def summarise(tally: Tally, checker: Checker, *, tool_cpu: float) -> Measured:
    """Reduce what came back to figures."""
    answers = len(tally.latencies_s)
    return Measured(
        answers=answers,
        p50_ms=_percentile_ms(tally.latencies_s, 0.50),
        p99_ms=_percentile_ms(tally.latencies_s, 0.99),
        rps=round(answers / tally.seconds, 1) if tally.seconds else 0.0,
        errors=tally.errors,
        late_p99_ms=_percentile_ms(tally.lags_s, 0.99),
        largest_difference=checker.largest_difference,
        tool_cpu=round(tool_cpu, 2),
    )


def summarise_times(seconds: Sequence[float]) -> Measured:
    """Reduce the times of calls that followed each other to figures."""
    tally = Tally(latencies_s=list(seconds), seconds=sum(seconds))
    return summarise(tally, Checker("plain", [], tolerance=0.0), tool_cpu=0.0)


def _percentile_ms(seconds: Sequence[float], share: float) -> float | None:
    """Return the smallest latency that at least this share of all does not exceed."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    rank = max(0, math.ceil(share * len(ordered)) - 1)
    return round(ordered[rank] * 1000, 3)


if __name__ == "__main__":
    sys.exit(main())
