"""What an online store keeps that nobody can look up."""

import sqlite3
from contextlib import closing

from lockstep.publish.online.contract import OnlineStore
from tests.unit.publish.online.loads import TABLE


def leftovers(location: str, store: OnlineStore) -> int:
    """Rows that are kept, beyond those of the partitions that can be looked up."""
    live = sum(one.rows for one in store.loaded(TABLE))
    if location.startswith("sqlite"):
        with closing(sqlite3.connect(location.removeprefix("sqlite:///"))) as connection:
            return int(connection.execute("SELECT count(*) FROM prediction_rows").fetchone()[0]) - live
    from redis import Redis

    with closing(Redis.from_url(location)) as client:
        return sum(client.hlen(name) - 1 for name in client.scan_iter("*:rows:*") if client.ttl(name) < 0) - live
