"""The warehouses under test, each with an ordinary reader that knows nothing of Lockstep."""

import contextlib
import datetime as dt
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import psycopg
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import TableNotFoundError
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from psycopg.rows import dict_row
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.utils.config import Config

from lockstep.publish.contract import Warehouse
from lockstep.publish.warehouse import open_warehouse
from tests.publish.staged import DAY, NOON

KINDS = ("duckdb", "postgresql", "iceberg", "delta")
# Under an emulator, which knows one writer at a time.
EMULATED = ("snowflake", "bigquery")
# With tables in a store of objects, by the kind that they are of.
STORED = {"stored-delta": "delta", "stored-iceberg": "iceberg"}
# Fixture of the server of each kind that has one.
SERVERS = {
    "postgresql": "postgres",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "stored-delta": "stored_delta",
    "stored-iceberg": "stored_iceberg",
}
TABLE = "scores_table"
SEMI = {"ARRAY", "VARIANT"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """One warehouse."""

    kind: str
    location: str

    def open(self, wait_s: float = 20) -> Warehouse:
        """Open it as Lockstep does."""
        return open_warehouse(self.kind, self.location, wait_s=wait_s)

    def claim(self, run_key: str, day: dt.date = DAY, table: str = TABLE) -> int:
        """Plan a run."""
        return self.open().claim(table, partition=day, run_key=run_key, now=NOON).token

    def read(self, table: str = TABLE, columns: str = "*") -> list[Row]:
        """Read a table as any client does; nothing when it is not there."""
        return _READERS[self.kind](self.location, table, columns)

    def live(self, table: str = TABLE) -> list[tuple[dt.date, str, int]]:
        """Return (partition, run key, rows) of what a reader sees."""
        counted = Counter((row["flight_date"], row["run_key"]) for row in self.read(table, "flight_date, run_key"))
        return sorted((day, run_key, rows) for (day, run_key), rows in counted.items())

    def columns(self, table: str = TABLE) -> list[str]:
        """Return the columns that a reader sees."""
        return list(self.read(table)[0])


def make_place(kind: str, root: Path, *, server: str | None = None) -> Place:
    """Describe a new, empty warehouse; one with a server is where `server` says."""
    locations = {"duckdb": root / "warehouse.duckdb", "iceberg": root / "iceberg", "delta": root / "delta"}
    return Place(STORED.get(kind, kind), server or str(locations[kind]))


def _duckdb(location: str, table: str, columns: str) -> list[Row]:
    if not Path(location).exists():
        return []
    with duckdb.connect(location, read_only=True) as connection:
        try:
            result = connection.execute(f"SELECT {columns} FROM {table}")
        except duckdb.CatalogException:
            return []
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _postgresql(location: str, table: str, columns: str) -> list[Row]:
    with psycopg.connect(location, row_factory=dict_row) as connection:
        try:
            return connection.execute(f"SELECT {columns} FROM {table}").fetchall()
        except psycopg.errors.UndefinedTable:
            return []


def _snowflake(location: str, table: str, columns: str) -> list[Row]:
    import snowflake.connector as snowflake  # after the connection's configuration is there

    name, database, schema = location.split("/")
    with (
        contextlib.closing(snowflake.connect(connection_name=name, database=database, schema=schema)) as connection,
        connection.cursor() as cursor,
    ):
        try:
            cursor.execute(f"SELECT {columns} FROM {table}")
        except snowflake.errors.ProgrammingError as error:
            if error.sqlstate == "42S02":  # no such table
                return []
            raise
        names = [column.name.lower() for column in cursor.description]
        arrays = [snowflake.constants.FIELD_ID_TO_NAME[column.type_code] in SEMI for column in cursor.description]
        return [dict(zip(names, map(_parsed, row, arrays), strict=True)) for row in cursor.fetchall()]


def _parsed(value: Any, array: bool) -> Any:
    """Return an array as one; Snowflake's clients get its JSON."""
    return json.loads(value) if array and value is not None else value


def _bigquery(location: str, table: str, columns: str) -> list[Row]:
    project, dataset = location.split("/")
    with contextlib.closing(bigquery.Client(project=project, credentials=AnonymousCredentials())) as client:
        try:
            return [dict(row) for row in client.query_and_wait(f"SELECT {columns} FROM `{dataset}`.{table}")]
        except NotFound:
            return []


def _iceberg(location: str, table: str, columns: str) -> list[Row]:
    name, _, namespace = location.removeprefix("catalog:").partition("/")
    if location.startswith("catalog:"):
        store = {"s3.endpoint": os.environ["AWS_ENDPOINT_URL"], "s3.region": os.environ["AWS_REGION"]}
        catalog = SqlCatalog(name, **Config().get_catalog_config(name), **store)
    elif (Path(location) / "catalog.db").exists():
        uri, namespace = f"sqlite:///{location}/catalog.db?timeout=30", "lockstep"
        catalog = SqlCatalog("lockstep", uri=uri, warehouse=f"file://{location}")
    else:
        return []
    try:
        scan = catalog.load_table(f"{namespace}.{table}").scan()
    except NoSuchTableError:
        return []
    finally:
        catalog.engine.dispose()
    return _picked(scan.to_arrow(), columns)


def _delta(location: str, table: str, columns: str) -> list[Row]:
    options = {"AWS_ALLOW_HTTP": "true"} if "://" in location else None
    try:
        opened = DeltaTable(unquote(f"{location}/{table}"), storage_options=options)
    except TableNotFoundError:
        return []
    return _picked(pa.table(QueryBuilder().register("t", opened).execute("SELECT * FROM t").read_all()), columns)


def _picked(rows: pa.Table, columns: str) -> list[Row]:
    wanted = rows.column_names if columns == "*" else [name.strip() for name in columns.split(",")]
    found: list[Row] = rows.select(wanted).to_pylist()
    return found


_READERS = {
    "duckdb": _duckdb,
    "postgresql": _postgresql,
    "snowflake": _snowflake,
    "bigquery": _bigquery,
    "iceberg": _iceberg,
    "delta": _delta,
}
