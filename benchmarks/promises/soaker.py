"""One client process of the soak: reads its order from standard input, asks so many times, prints what it saw."""

import asyncio
import base64
import contextlib
import gc
import json
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.promises.sorting import OK, SameAnswer
from benchmarks.serving.loop import STRAGGLERS_S, Pool, clock
from benchmarks.serving.wire import Answer, Connection

# Closes without a farewell: the other side sees a reset.
ABRUPTLY = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Order:
    """What to do.

    Attributes:
        host: Of the server.
        port: Of the server.
        requests: In base64: whole ones of REST, messages of gRPC; asked for in turn, again and again.
        statuses: The right status of each.
        over_grpc: Whether they are messages of gRPC.
        clients: That ask at the same time.
        count: Requests in all.
        gone_every: After so many requests one client goes away without waiting.
    """

    host: str
    port: int
    requests: list[str]
    statuses: list[int]
    over_grpc: bool
    clients: int
    count: int
    gone_every: int


@dataclass
class Told:
    """What was seen.

    Attributes:
        right: Requests with the right status and, where it is 200, the same answer as before.
        refused: Of them, those that were rightly refused.
        gone: Clients that went away.
        failures: What else came -> how often.
    """

    right: int = 0
    refused: int = 0
    gone: int = 0
    failures: dict[str, int] = field(default_factory=dict)


class SoakPool(Pool):
    """Connections whose answers are compared with what is expected of each request."""

    def __init__(self, order: Order, requests: Sequence[bytes]) -> None:
        self._statuses = order.statuses
        self._same = SameAnswer(len(requests))
        self.told = Told()
        super().__init__((order.host, order.port), requests, self._same, size=order.clients)  # type: ignore[arg-type]

    def _note(self, connection: Connection, answer: Answer, now: float) -> None:
        del now
        expected = self._statuses[connection.row]
        if answer.status != expected:
            self.tally.fail(f"status {answer.status} instead of {expected}")
        elif answer.status == OK and not self._same.is_right(connection.row, answer):
            self.tally.fail("another answer to the same request")
        else:
            self.told.right += 1
            self.told.refused += answer.status != OK


def over_http(order: Order, requests: Sequence[bytes]) -> Told:
    """Ask over REST."""
    pool, sent = SoakPool(order, requests), 0
    for connection in list(pool.connections.values()):
        pool.send(connection, clock())
        sent += 1
    until = clock() + STRAGGLERS_S
    while pool.under_way and clock() < until:
        for connection, now in pool.wait(1.0):
            until = now + STRAGGLERS_S
            if sent < order.count:
                pool.send(connection, now)
                sent += 1
                if sent % order.gone_every == 0:
                    go_away(order, requests[sent % len(requests)], abruptly=sent % (2 * order.gone_every) == 0)
                    pool.told.gone += 1
    for _ in range(pool.under_way):
        pool.tally.fail("no answer")
    pool.close()
    pool.told.failures = pool.tally.errors
    return pool.told


def go_away(order: Order, request: bytes, *, abruptly: bool) -> None:
    """Send a request over a connection of its own and leave."""
    with contextlib.suppress(OSError), socket.create_connection((order.host, order.port), timeout=5) as sock:
        sock.sendall(request)
        if abruptly:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)


async def over_grpc(order: Order, requests: Sequence[bytes]) -> Told:
    """Ask over gRPC."""
    from benchmarks.promises.grpc_loop import GrpcLoad  # REST needs no gRPC

    load = GrpcLoad(f"{order.host}:{order.port}", requests)
    told = Told()

    async def client() -> None:
        while load.number < order.count:
            if load.number % order.gone_every == order.gone_every - 1:
                told.gone += 1
                await load.go_away()
            else:
                await load.ask(clock())

    await asyncio.gather(*(client() for _ in range(order.clients)))
    told.right = len(load.tally.latencies_s)
    told.failures = load.tally.errors | {status: len(times) for status, times in load.tally.refused_s.items()}
    await load.close()
    return told


def main() -> int:
    """Obey one order."""
    order = Order(**json.loads(sys.stdin.read()))
    requests = [base64.b64decode(text) for text in order.requests]
    gc.collect()
    gc.freeze()
    told = asyncio.run(over_grpc(order, requests)) if order.over_grpc else over_http(order, requests)
    print(json.dumps(asdict(told)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
