"""How much one client may ask for: token buckets, a bounded number of them.

A bucket is one number: the time at which it will be full again. Taking n moves it n / rate further away, and what would
move it further than a whole bucket away is refused.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from lockstep.serving.security.clients import Client
from lockstep.serving.security.credentials import peer_network
from lockstep.serving.security.errors import RateLimited, RowsOverBurst
from lockstep.specs.serving_security import Rate, RateLimit

# Clocks and sums of floats are not exact.
TOLERANCE_S = 1e-6
LOOKED_AT = 8
FULL = float("-inf")


@dataclass(frozen=True, slots=True)
class Pace:
    """Steady rate and burst of one bucket."""

    per_s: float
    burst: float

    def take(self, full_at: float, amount: float, *, now: float) -> tuple[float, float]:
        """Take from a bucket.

        Args:
            full_at: When it will be full, as this returned it before; `FULL` of a new one.
            amount: How much.
            now: Monotonic seconds.

        Returns:
            When it will be full then, and the seconds to wait; if these are not 0, nothing may be taken.
        """
        whole_s = self.burst / self.per_s
        after = max(full_at, now) + amount / self.per_s
        wait_s = after - now - whole_s
        return after, wait_s if wait_s > TOLERANCE_S else 0.0


@dataclass(frozen=True, slots=True)
class Quota:
    """Paces of one client; none: no limit."""

    requests: Pace | None
    rows: Pace | None


class Buckets:
    """Buckets of many clients.

    One that is full is as good as none, so it is thrown away when room is needed. While all are in use newcomers of one
    quota share one, and what they get later begins as that one is: nobody gets more by crowding others out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._own: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._shared: dict[Quota, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._own)

    def take(self, key: Hashable, quota: Quota, *, requests: float, rows: float, now: float) -> float:
        """Take requests and rows at once, or nothing. Return the seconds to wait, 0 when they are taken."""
        of_requests, of_rows = self._own.get(key) or self._shared.get(quota, (FULL, FULL))
        waits = [0.0]
        if quota.requests is not None and requests:
            of_requests, wait_s = quota.requests.take(of_requests, requests, now=now)
            waits.append(wait_s)
        if quota.rows is not None and rows:
            of_rows, wait_s = quota.rows.take(of_rows, rows, now=now)
            waits.append(wait_s)
        if max(waits) == 0:
            full_at = (of_requests, of_rows)
            if key in self._own or self._has_room(now=now):
                self._own[key] = full_at
                self._own.move_to_end(key)
            else:
                self._shared[quota] = full_at
        return max(waits)

    def _has_room(self, *, now: float) -> bool:
        if len(self._own) < self._most:
            return True
        # Those not used for longest are the likeliest to be full.
        for old in [old for old, _ in zip(self._own, range(LOOKED_AT), strict=False)]:
            if max(self._own[old]) <= now:
                del self._own[old]
                return True
        return False


class RateLimiter:
    """Limits of all clients. May be used by several threads; each process counts for itself."""

    def __init__(self, config: RateLimit) -> None:
        self._default = quota_of(config)
        self._named = {name: quota_of(rate) for name, rate in config.clients.items()}
        self._of_anonymous = self._default if config.anonymous is None else quota_of(config.anonymous)
        # Apart, so that strangers cannot crowd out those who are known.
        self._known, self._strangers = Buckets(config.buckets), Buckets(config.buckets)
        self._lock = threading.Lock()

    def take(self, client: Client, *, peer: str, now: float, requests: int = 1, rows: int = 0) -> float:
        """Take requests and rows from a client's share.

        Args:
            client: Who asks.
            peer: From where; counts for anonymous ones.
            now: Monotonic seconds.
            requests: How many requests.
            rows: How many rows.

        Returns:
            Seconds until the same would be granted; 0 when it is granted now. Otherwise nothing is taken.

        Raises:
            RowsOverBurst: So many rows are never granted at once.
        """
        anonymous = client.method == "anonymous"
        quota = self._of_anonymous if anonymous else self._named.get(client.name, self._default)
        if quota.rows is not None and rows > quota.rows.burst:
            raise RowsOverBurst(rows=rows, burst=int(quota.rows.burst))
        key = peer_network(peer) if anonymous else (client.method, client.name)
        buckets = self._strangers if anonymous else self._known
        with self._lock:
            return buckets.take(key, quota, requests=requests, rows=rows, now=now)

    def require(self, client: Client, *, peer: str, now: float, requests: int = 1, rows: int = 0) -> None:
        """Take requests and rows from a client's share; see `take`.

        Raises:
            RateLimited: There is not enough of it left now.
            RowsOverBurst: So many rows are never granted at once.
        """
        wait_s = self.take(client, peer=peer, now=now, requests=requests, rows=rows)
        if wait_s:
            raise RateLimited(wait_s=wait_s)


def quota_of(rate: Rate) -> Quota:
    """Return the paces of a rate; a burst that is not said is one second's, and at least one."""
    return Quota(_pace(rate.requests_per_s, rate.request_burst), _pace(rate.rows_per_s, rate.row_burst))


def _pace(per_s: float | None, burst: int | None) -> Pace | None:
    return None if per_s is None else Pace(per_s, float(burst or max(1, int(per_s))))
