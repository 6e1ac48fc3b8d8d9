"""One sender, a process of its own: reads its order from standard input and prints what it saw, both as JSON."""

import asyncio
import base64
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.job import ROOT, environment
from benchmarks.promises.sorting import SortedTally, SortingPool
from benchmarks.serving.loop import closed_loop, open_loop

SLACK_S = 60.0


@dataclass(frozen=True)
class Order:
    """What to do.

    Attributes:
        host: Of the server.
        port: Of the server.
        requests: In base64: whole ones of REST, messages of gRPC.
        over_grpc: Whether they are messages of gRPC.
        clients: Connections; an open loop of gRPC has as many calls as it needs.
        seconds: That count.
        warm_s: Seconds before them, which do not.
        rate: Arrivals per second; none: closed loop.
        seed: Of the arrivals.
        cores: Where the sender may run; none: anywhere.
        begins: When all senders begin, by `time.time`.
    """

    host: str
    port: int
    requests: list[str]
    over_grpc: bool
    clients: int
    seconds: float
    warm_s: float
    rate: float | None = None
    seed: int = 0
    cores: list[int] = field(default_factory=list)
    begins: float = 0.0


@dataclass
class Seen:
    """What one sender, or all of them, saw; times in seconds, from when a request was to be sent.

    Attributes:
        seconds: Over which it was counted.
        answered_s: Time to each answer.
        refused_s: Status -> time to each refusal as it should be.
        failures: What else came -> how often.
        late_s: By how much the sender was late, each time.
    """

    seconds: float = 0.0
    answered_s: list[float] = field(default_factory=list)
    refused_s: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    late_s: list[float] = field(default_factory=list)

    def add(self, other: "Seen") -> None:
        """Add what another sender saw at the same time."""
        self.seconds = max(self.seconds, other.seconds)
        self.answered_s += other.answered_s
        self.late_s += other.late_s
        for status, seconds in other.refused_s.items():
            self.refused_s.setdefault(status, []).extend(seconds)
        for kind, count in other.failures.items():
            self.failures[kind] = self.failures.get(kind, 0) + count


def obey(order: Order) -> Seen:
    """Put the load on the server."""
    if order.cores:
        os.sched_setaffinity(0, order.cores)
    requests = [base64.b64decode(text) for text in order.requests]
    gc.collect()
    gc.disable()
    time.sleep(max(order.begins - time.time(), 0.0))
    tally = asyncio.run(_over_grpc(order, requests)) if order.over_grpc else _over_http(order, requests)
    return Seen(tally.seconds, tally.latencies_s, tally.refused_s, tally.errors, tally.lags_s)


def _over_http(order: Order, requests: Sequence[bytes]) -> SortedTally:
    pool = SortingPool((order.host, order.port), requests, size=order.clients)
    if order.rate is None:
        closed_loop(pool, warm_s=order.warm_s, seconds=order.seconds)
    else:
        open_loop(pool, rate=order.rate, warm_s=order.warm_s, seconds=order.seconds, seed=order.seed)
    pool.close()
    return pool.tally


async def _over_grpc(order: Order, requests: Sequence[bytes]) -> SortedTally:
    from benchmarks.promises.grpc_loop import GrpcLoad  # REST needs no gRPC

    load = GrpcLoad(f"{order.host}:{order.port}", requests)
    if order.rate is None:
        tally = await load.closed(clients=order.clients, warm_s=order.warm_s, seconds=order.seconds)
    else:
        await load.open(rate=order.rate, seconds=order.warm_s, seed=order.seed + 1)
        tally = await load.open(rate=order.rate, seconds=order.seconds, seed=order.seed)
    await load.close()
    return tally


def send(orders: Sequence[Order]) -> Seen:
    """Let senders work side by side; return what they saw together.

    Raises:
        RuntimeError: One could not do its work.
    """
    command = [sys.executable, "-m", "benchmarks.promises.sender"]
    senders = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
        for _ in orders
    ]
    try:
        for sender, order in zip(senders, orders, strict=True):
            if sender.stdin is not None:
                sender.stdin.write(json.dumps(asdict(order)))
                sender.stdin.close()
                sender.stdin = None
        together = Seen()
        for sender, order in zip(senders, orders, strict=True):
            told, _ = sender.communicate(timeout=order.seconds + order.warm_s + SLACK_S)
            if sender.returncode != 0:
                raise RuntimeError(f"a sender ended with code {sender.returncode}")
            together.add(Seen(**json.loads(told)))
        return together
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()


if __name__ == "__main__":
    print(json.dumps(asdict(obey(Order(**json.loads(sys.stdin.read()))))))
