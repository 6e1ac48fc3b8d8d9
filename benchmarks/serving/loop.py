"""The two kinds of load: clients that wait for their answer, and arrivals that wait for nobody."""

import ctypes
import random
import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.serving.reading import Checker
from benchmarks.serving.wire import Answer, Broken, Connection

clock = time.perf_counter
STRAGGLERS_S = 10.0
PR_SET_TIMERSLACK = 29


@dataclass
class Tally:
    """What came back.

    Attributes:
        latencies_s: Of right answers.
        errors: Kind of failure -> how often.
        lags_s: Open loop: how late the tool itself sent requests for which a connection was free.
        seconds: Over which the answers were counted.
    """

    latencies_s: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    lags_s: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def fail(self, kind: str) -> None:
        """Count a failure."""
        self.errors[kind] = self.errors.get(kind, 0) + 1


class Pool:
    """Connections to one server, and what is to be sent over them."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], checker: Checker, *, size: int) -> None:
        self._requests = requests
        self._checker = checker
        self._next = 0
        self._epoll = select.epoll()
        self.tally = Tally()
        self.under_way = 0
        self.connections: dict[int, Connection] = {}
        for _ in range(size):
            self._add(Connection(address))

    def _add(self, connection: Connection) -> None:
        self.connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)

    def _renew(self, connection: Connection) -> None:
        del self.connections[connection.fd]
        connection.close()
        connection.open()
        self._add(connection)

    def send(self, connection: Connection, since: float) -> None:
        """Send the next request; its latency counts from `since`."""
        row = connection.row = self._next
        self._next = (row + 1) % len(self._requests)
        connection.since = since
        try:
            connection.send(self._requests[row])
        except Broken:  # closed since its last answer, as a server may
            self._renew(connection)
            connection.send(self._requests[row])
        connection.busy = True
        self.under_way += 1

    def wait(self, timeout_s: float, *, exact: bool = False) -> Iterator[tuple[Connection, float]]:
        """Give connections that have become free, with when their answer was there; note how it went.

        Args:
            timeout_s: How long to wait for an answer.
            exact: Whether to wait no longer than that; else up to the next millisecond, which costs less.
        """
        if exact:  # epoll counts in milliseconds, select in microseconds
            select.select([self._epoll], [], [], timeout_s)
            timeout_s = 0
        events = self._epoll.poll(timeout_s)
        now = clock()
        for fd, _ in events:
            connection = self.connections[fd]
            was_busy = connection.busy
            if self._take(connection, now) and was_busy:
                connection.busy = False
                self.under_way -= 1
                yield connection, now

    def _take(self, connection: Connection, now: float) -> bool:
        """Take in what came over a connection; say whether nothing more will."""
        try:
            answer = connection.receive()
        except Broken:
            if connection.busy:  # an idle one may be closed by the server
                self.tally.fail("connection closed")
            self._renew(connection)
            return True
        if answer is None:
            return False
        self._note(connection, answer, now)
        if answer.last:
            self._renew(connection)
        return True

    def _note(self, connection: Connection, answer: Answer, now: float) -> None:
        if answer.status != 200:
            self.tally.fail(f"status {answer.status}")
        elif not self._checker.is_right(connection.row, answer):
            self.tally.fail("wrong answer")
        else:
            self.tally.latencies_s.append(now - connection.since)

    def forget(self) -> None:
        """Begin to count anew."""
        self.tally = Tally()

    def close(self) -> None:
        """Close all connections."""
        for connection in self.connections.values():
            connection.close()
        self._epoll.close()


def closed_loop(pool: Pool, *, warm_s: float, seconds: float) -> Tally:
    """Let each connection be a client that asks again as soon as it has its answer."""
    for connection in list(pool.connections.values()):
        pool.send(connection, clock())
    _ask_until(pool, clock() + warm_s)
    pool.forget()
    began = clock()
    tally = pool.tally
    _ask_until(pool, began + seconds)
    tally.seconds = clock() - began
    counted = len(tally.latencies_s)
    _collect(pool, until=clock() + STRAGGLERS_S)
    del tally.latencies_s[counted:]
    return tally


def _ask_until(pool: Pool, end: float) -> None:
    while (left := end - clock()) > 0:
        for connection, _ in pool.wait(left):
            pool.send(connection, clock())


def _collect(pool: Pool, *, until: float) -> None:
    """Wait for what is under way; what does not come is a failure."""
    while pool.under_way and (left := until - clock()) > 0:
        for _ in pool.wait(left):
            pass
    for _ in range(pool.under_way):
        pool.tally.fail("no answer")


def open_loop(pool: Pool, *, rate: float, warm_s: float, seconds: float, seed: int) -> Tally:
    """Send at the times of a Poisson process, whether or not earlier answers have come.

    A latency counts from the intended time, so a request that had to wait for a free connection waited for the server.
    """
    _sleep_exactly()
    free = list(pool.connections.values())
    free = _arrivals(pool, free, _times(rate, warm_s, seed=seed + 1), give_up_s=warm_s + STRAGGLERS_S)
    pool.forget()
    began = clock()
    _arrivals(pool, free, _times(rate, seconds, seed=seed), give_up_s=seconds + STRAGGLERS_S)
    # The last arrival is intended within the window; a server that lags behind makes the run longer.
    pool.tally.seconds = max(seconds, clock() - began)
    return pool.tally


def _times(rate: float, seconds: float, *, seed: int) -> list[float]:
    rng = random.Random(seed)
    times, at = [], rng.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += rng.expovariate(rate)
    return times


def _arrivals(pool: Pool, free: list[Connection], times: list[float], *, give_up_s: float) -> list[Connection]:
    began = clock()
    due: deque[float] = deque()
    lags, upcoming, total = pool.tally.lags_s, 0, len(times)
    while upcoming < total or due or pool.under_way:
        now = clock() - began
        if now > give_up_s:
            break
        while upcoming < total and times[upcoming] <= now:
            if free:
                lags.append(now - times[upcoming])
                pool.send(free.pop(), began + times[upcoming])
            else:
                due.append(began + times[upcoming])
            upcoming += 1
        wait_s = times[upcoming] - (clock() - began) if upcoming < total else give_up_s - now
        for connection, _ in pool.wait(max(wait_s, 0.0), exact=True):
            if due:
                pool.send(connection, due.popleft())
            else:
                free.append(connection)
    for _ in range(pool.under_way + len(due) + total - upcoming):
        pool.tally.fail("no answer")
    return free


def _sleep_exactly() -> None:
    """Ask Linux to wake this process at the time it named, not up to 50 microseconds later."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
