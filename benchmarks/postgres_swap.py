"""Two ways to replace a partition in PostgreSQL, and what readers feel of each.

    .venv/data/bin/python -m benchmarks.postgres_swap --rows 1000000

`delete and load` deletes the day and loads the new rows in one transaction, as Lockstep does. `attach` loads a table of
its own beforehand, then detaches the old partition and attaches the new one in one transaction. A long query is open
on the table all the while, as reports are. Printed are the whole time, and the longest wait of short queries beside it.
"""

import argparse
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pyarrow.dataset as ds
from adbc_driver_postgresql import dbapi

from benchmarks.publish import DAY, stage
from tests.publish.postgres_server import running

COLUMNS = (
    "day date, id bigint, carrier text, score double precision, model_name text, model_version bigint, "
    "model_digest text, run_key text"
)
LONG_QUERY_S = 6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, default=Path("var/bench/swap"))
    options = parser.parse_args()
    shutil.rmtree(options.scratch, ignore_errors=True)
    options.scratch.mkdir(parents=True)
    paths = [str(file.path) for file in stage(options.scratch / "a", "a", rows=options.rows, files=4).files]
    with running(options.scratch.absolute()) as server:
        os.environ["PGPASSWORD"] = server.cluster.password
        for name, replace in (("delete and load", delete_and_load), ("attach", attach)):
            location = server.create(name.replace(" ", "_"))
            took_s, waited_s = contest(location, paths, replace)
            print(f"{name:<16} replaced in {took_s:6.2f} s; a short query waited at most {waited_s:6.3f} s")


def contest(location: str, paths: list[str], replace: Callable[[str, list[str]], None]) -> tuple[float, float]:
    """Fill a table, then replace its partition beside a long query and many short ones."""
    partitioned = " PARTITION BY LIST (day)" if replace is attach else ""
    with psycopg.connect(location, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE scores ({COLUMNS}){partitioned}")
        if replace is attach:
            connection.execute(f"CREATE TABLE old PARTITION OF scores FOR VALUES IN ('{DAY}')")
    ingest(location, "scores", paths)
    ended, waits = threading.Event(), [0.0]
    readers = [
        threading.Thread(target=long_query, args=(location,)),
        threading.Thread(target=short_queries, args=(location, ended, waits)),
    ]
    for reader in readers:
        reader.start()
    time.sleep(0.5)
    clock = time.perf_counter()
    replace(location, paths)
    took_s = time.perf_counter() - clock
    ended.set()
    for reader in readers:
        reader.join()
    return took_s, max(waits)


def delete_and_load(location: str, paths: list[str]) -> None:
    """Replace the day in one transaction."""
    with dbapi.connect(location) as connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM scores WHERE day = '{DAY}'")  # noqa: S608 - a constant
        cursor.adbc_ingest("scores", ds.dataset(paths).scanner().to_reader(), mode="append")
        connection.commit()


def attach(location: str, paths: list[str]) -> None:
    """Load a table of its own, then swap the partitions in one transaction."""
    with psycopg.connect(location, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE new ({COLUMNS}, CHECK (day = '{DAY}'))")
    ingest(location, "new", paths)
    with psycopg.connect(location) as connection:
        connection.execute("ALTER TABLE scores DETACH PARTITION old")
        connection.execute(f"ALTER TABLE scores ATTACH PARTITION new FOR VALUES IN ('{DAY}')")


def ingest(location: str, table: str, paths: list[str]) -> None:
    """Load files."""
    with dbapi.connect(location) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, ds.dataset(paths).scanner().to_reader(), mode="append")
        connection.commit()


def long_query(location: str) -> None:
    """Keep a query open on the table."""
    with psycopg.connect(location) as connection:
        connection.execute(f"SELECT count(*), pg_sleep({LONG_QUERY_S}) FROM (SELECT 1 FROM scores LIMIT 1) AS one")  # noqa: S608


def short_queries(location: str, ended: threading.Event, waits: list[float]) -> None:
    """Ask something small again and again; keep the longest wait."""
    with psycopg.connect(location, autocommit=True) as connection:
        while not ended.is_set():
            clock = time.perf_counter()
            connection.execute("SELECT id FROM scores LIMIT 1").fetchall()
            waits.append(time.perf_counter() - clock)
            time.sleep(0.02)


if __name__ == "__main__":
    main()
