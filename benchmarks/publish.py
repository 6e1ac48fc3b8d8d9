"""What a publication costs, beside the warehouse's own bulk load of the same files, in one run.

    python -m benchmarks.publish --rows 10000000 --rounds 5

Prints medians of seconds and their ratio for each warehouse: a first publication of a partition, and one that
replaces it, each with the hashes of all files checked, beside a plain load of the same files into an empty table.
`--files 1000 --warehouse iceberg` shows the commit alone for many files.
"""

import argparse
import datetime as dt
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi
from deltalake import write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.transforms import IdentityTransform

from benchmarks.machine import describe
from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.identity import file_sha256
from tests.publish.postgres_server import Server, running

DAY = dt.date(2026, 1, 1)
KINDS = ("duckdb", "postgresql", "iceberg", "delta")
BATCH_ROWS = 65_536


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warehouse", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--scratch", type=Path, default=Path("var/bench/publish"))
    options = parser.parse_args()
    shutil.rmtree(options.scratch, ignore_errors=True)
    options.scratch.mkdir(parents=True)
    print(describe(os.cpu_count() or 1))
    runs = {key: stage(options.scratch / key, key, rows=options.rows, files=options.files) for key in ("a", "b")}
    size = sum(file.size_bytes for file in runs["a"].files)
    print(f"{options.rows:,} rows x 8 columns, {options.files} files, {size / 2**20:,.0f} MiB; {options.rounds} rounds")
    with postgres(options.scratch, wanted="postgresql" in options.warehouse) as server:
        for kind in options.warehouse:
            Contest(kind, options.scratch.absolute() / "w", runs=runs, server=server).run(options.rounds)


def stage(folder: Path, run_key: str, *, rows: int, files: int) -> PublishRequest:
    """Write the staged files of a run: a key, a text, a score and the stamps."""
    folder.mkdir(parents=True)
    random, each, staged = np.random.default_rng(len(run_key)), rows // files, []
    for number in range(files):
        table = pa.table(
            {
                "day": pa.array([DAY] * each, pa.date32()),
                "id": pa.array(np.arange(number * each, (number + 1) * each)),
                "carrier": pa.array(np.array(["AA", "B6", "DL", "UA", "WN"])[random.integers(0, 5, each)]),
                "score": pa.array(random.random(each)),
                "model_name": pa.array(["flight_delay"] * each),
                "model_version": pa.array(np.full(each, 7)),
                "model_digest": pa.array(["d" * 64] * each),
                "run_key": pa.array([run_key] * each),
            }
        )
        path = folder / f"{number:05d}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=1)
        staged.append(StagedFile(path, size_bytes=path.stat().st_size, sha256=file_sha256(path)))
    return PublishRequest(
        table="scores",
        partition_column="day",
        partition=DAY,
        run_key=run_key,
        token=0,
        spec="bench",
        spec_hash="s",
        model_name="flight_delay",
        model_version=7,
        model_digest="d" * 64,
        code_version="0",
        run_folder=str(folder),
        files=staged,
        rows=each * files,
        now=dt.datetime.now(dt.UTC),
    )


@contextmanager
def postgres(scratch: Path, *, wanted: bool) -> Iterator[Server | None]:
    """Start a server when one is wanted."""
    if not wanted:
        yield None
        return
    with running(scratch.absolute()) as server:
        os.environ["PGPASSWORD"] = server.cluster.password
        yield server


class Contest:
    """One warehouse: its own load against a publication, in turn."""

    def __init__(self, kind: str, scratch: Path, *, runs: dict[str, PublishRequest], server: Server | None) -> None:
        self.kind, self.scratch, self.runs, self.server = kind, scratch, runs, server
        self.paths = [str(file.path) for file in runs["a"].files]
        self.own = {
            "duckdb": {"CREATE TABLE AS read_parquet": self.load_duckdb},
            "postgresql": {"COPY of CSV": self.copy_postgres, "ADBC ingest": self.ingest_postgres},
            "iceberg": {"append": self.append_iceberg, "add_files": self.add_iceberg},
            "delta": {"write_deltalake": self.write_delta},
        }[kind]

    def run(self, rounds: int) -> None:
        """Measure in turn and print medians and ratios."""
        took: dict[str, list[float]] = {}
        for number in range(rounds):
            for name, load in self.own.items():
                took.setdefault(name, []).append(self.timed(load, number))
            for name, seconds in self.publish(number).items():
                took.setdefault(name, []).append(seconds)
        medians = {name: statistics.median(seconds) for name, seconds in took.items()}
        best = min(self.own, key=lambda name: medians[name])
        print(f"\n{self.kind}")
        for name, seconds in medians.items():
            ratio = "" if name in self.own else f"   {seconds / medians[best]:5.2f} x its own {best}"
            print(f"  {name:<34} {seconds:8.3f} s{ratio}")

    def timed(self, load: Callable[[Path], None], number: int) -> float:
        place = self.scratch / f"own-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        clock = time.perf_counter()
        load(place)
        seconds = time.perf_counter() - clock
        shutil.rmtree(place)
        return seconds

    def publish(self, number: int) -> dict[str, float]:
        """Publish run a, then run b over it."""
        place = self.scratch / f"ours-{number}"
        shutil.rmtree(place, ignore_errors=True)
        location = str(place / "w.duckdb") if self.kind == "duckdb" else str(place)
        if self.server is not None and self.kind == "postgresql":
            location = self.server.create(f"ours{number}")
        took = {}
        for key, name in (("a", "publish"), ("b", "publish over it")):
            warehouse = open_warehouse(self.kind, location, wait_s=60)
            token = warehouse.claim("scores", partition=DAY, run_key=key, now=self.runs[key].now).token
            request = replace(self.runs[key], token=token)
            clock = time.perf_counter()
            warehouse.publish(request)
            took[name] = time.perf_counter() - clock
            if self.kind in {"iceberg", "delta"}:
                took |= {f"{name}: the commit alone": self.commit_s(warehouse, key)} if key == "b" else {}
        if self.server is not None and self.kind == "postgresql":
            with psycopg.connect(location, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA ours{number} CASCADE")
        shutil.rmtree(place, ignore_errors=True)
        return took

    def commit_s(self, warehouse: object, key: str) -> float:
        """Return the seconds of the one commit that flips the partition back to the other run, its files in place."""
        request = self.runs["a" if key == "b" else "b"]
        token = warehouse.claim("scores", partition=DAY, run_key=request.run_key, now=request.now).token
        request = replace(request, token=token)
        warehouse.prepare(request)
        engine, timings = warehouse.engine, []
        real = type(engine).commit

        def commit(self: object, *arguments: object, **named: object) -> None:
            clock = time.perf_counter()
            real(self, *arguments, **named)
            timings.append(time.perf_counter() - clock)

        type(engine).commit = commit
        try:
            warehouse.publish(request)
        finally:
            type(engine).commit = real
        return timings[0]

    def load_duckdb(self, place: Path) -> None:
        with duckdb.connect(str(place / "own.duckdb")) as connection:
            connection.execute("CREATE TABLE scores AS SELECT * FROM read_parquet(?)", [self.paths])

    def copy_postgres(self, _: Path) -> None:
        with (
            self.own_table() as connection,
            connection.cursor().copy("COPY scores FROM STDIN (FORMAT csv)") as copy,
        ):
            writer = pa.csv.CSVWriter(
                CopySink(copy), pq.read_schema(self.paths[0]), write_options=pa.csv.WriteOptions(include_header=False)
            )
            for batch in ds.dataset(self.paths).to_batches(batch_size=BATCH_ROWS):
                writer.write(batch)
            writer.close()

    def ingest_postgres(self, _: Path) -> None:
        with self.own_table():
            pass
        rows = ds.dataset(self.paths).scanner(batch_size=BATCH_ROWS).to_reader()
        with dbapi.connect(self.server.location("own")) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("scores", rows, mode="append", db_schema_name="own")
            connection.commit()

    @contextmanager
    def own_table(self) -> Iterator[psycopg.Connection]:
        columns = (
            "day date, id bigint, carrier text, score double precision, model_name text, model_version bigint, "
            "model_digest text, run_key text"
        )
        with psycopg.connect(self.server.location("public")) as connection:
            connection.execute("DROP SCHEMA IF EXISTS own CASCADE")
            connection.execute("CREATE SCHEMA own")
            connection.execute(f"CREATE TABLE own.scores ({columns})")
            connection.execute("SET search_path = own")
            yield connection
            connection.commit()

    def append_iceberg(self, place: Path) -> None:
        self.own_iceberg(place).append(ds.dataset(self.paths).to_table())

    def add_iceberg(self, place: Path) -> None:
        self.own_iceberg(place).add_files([f"file://{Path(path).absolute()}" for path in self.paths])

    def own_iceberg(self, place: Path) -> object:
        catalog = SqlCatalog("own", uri=f"sqlite:///{place}/catalog.db", warehouse=f"file://{place}")
        catalog.create_namespace("own")
        table = catalog.create_table("own.scores", pq.read_schema(self.paths[0]))
        with table.update_spec() as spec:
            spec.add_field("day", IdentityTransform(), "day")
        return catalog.load_table("own.scores")

    def write_delta(self, place: Path) -> None:
        write_deltalake(str(place / "scores"), ds.dataset(self.paths).scanner().to_reader(), partition_by=["day"])


class CopySink:
    """Hands bytes on to a COPY."""

    closed = False

    def __init__(self, copy: psycopg.Copy) -> None:
        self.copy = copy

    def write(self, data: bytes) -> int:
        self.copy.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        self.closed = True


if __name__ == "__main__":
    main()
