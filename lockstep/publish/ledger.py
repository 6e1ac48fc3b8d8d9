"""The ledger: which run made which partition, and which token may still publish (tables of DuckDB).

The live publication of a partition is its entry with the highest token; a no-op is an entry too, so a run that was
planned again and found itself live already also shuts out older runs.
"""

import datetime as dt
from dataclasses import dataclass

import duckdb

from lockstep.errors import PublishError, StaleRun
from lockstep.publish.contract import Outcome, Publication, PublishRequest

LEDGER, CLAIMS, LINEAGE = "lockstep_ledger", "lockstep_claims", "model_lineage"
RESERVED = (LEDGER, CLAIMS, LINEAGE)

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {CLAIMS} (
  table_name VARCHAR, partition_date DATE, token BIGINT, run_key VARCHAR, claimed_at TIMESTAMPTZ,
  PRIMARY KEY (table_name, partition_date, token)
);
CREATE TABLE IF NOT EXISTS {LEDGER} (
  entry BIGINT PRIMARY KEY, token BIGINT, table_name VARCHAR, partition_date DATE, run_key VARCHAR,
  spec VARCHAR, spec_hash VARCHAR, model_name VARCHAR, model_version BIGINT, model_digest VARCHAR,
  rows BIGINT, replaced_rows BIGINT, outcome VARCHAR, published_at TIMESTAMPTZ, run_folder VARCHAR, code_version VARCHAR
);
CREATE VIEW IF NOT EXISTS {LINEAGE} AS
WITH live AS (
  SELECT table_name, partition_date, arg_max(run_key, (token, entry)) AS run_key
  FROM {LEDGER} GROUP BY table_name, partition_date
),
made AS (
  SELECT table_name, partition_date, run_key, max(entry) AS entry
  FROM {LEDGER} WHERE outcome = 'published' GROUP BY table_name, partition_date, run_key
),
counted AS (
  SELECT table_name, partition_date,
    count(*) FILTER (outcome = 'published') AS publications, count(*) FILTER (outcome = 'noop') AS noops
  FROM {LEDGER} GROUP BY table_name, partition_date
)
SELECT
  entry.table_name, entry.partition_date, entry.spec, entry.model_name, entry.model_version, entry.model_digest,
  entry.run_key, entry.rows, entry.published_at, counted.publications, counted.noops
FROM live
JOIN made USING (table_name, partition_date, run_key)
JOIN {LEDGER} entry ON entry.entry = made.entry
JOIN counted ON counted.table_name = live.table_name AND counted.partition_date = live.partition_date
ORDER BY entry.table_name, entry.partition_date;
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True)
class Live:
    """The live publication of a partition: its newest token, its run, and since when its rows are there."""

    token: int
    run_key: str
    rows: int
    published_at: dt.datetime


def ensure_ledger(connection: duckdb.DuckDBPyConnection) -> None:
    """Create ledger, claims and lineage view where they are not there yet."""
    connection.execute(SCHEMA)


def has_ledger(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the warehouse has a ledger."""
    found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ? AND NOT internal", [LEDGER])
    return found.fetchone() is not None


def next_token(connection: duckdb.DuckDBPyConnection, table: str, partition: dt.date) -> int:
    """Return a token above all that were handed out for a partition."""
    query = f"SELECT coalesce(max(token), 0) + 1 FROM {CLAIMS} WHERE table_name = ? AND partition_date = ?"  # noqa: S608
    row = connection.execute(query, [table, partition]).fetchone()
    return int(row[0]) if row else 1


def add_claim(
    connection: duckdb.DuckDBPyConnection, table: str, partition: dt.date, *, token: int, run_key: str, now: dt.datetime
) -> None:
    """Record that a run holds a token."""
    connection.execute(f"INSERT INTO {CLAIMS} VALUES (?, ?, ?, ?, ?)", [table, partition, token, run_key, now])  # noqa: S608


def check_claim(connection: duckdb.DuckDBPyConnection, request: PublishRequest) -> None:
    """Raise `PublishError` unless this warehouse gave the request's token to its run."""
    query = f"SELECT run_key FROM {CLAIMS} WHERE table_name = ? AND partition_date = ? AND token = ?"  # noqa: S608
    row = connection.execute(query, [request.table, request.partition, request.token]).fetchone()
    if row is None or row[0] != request.run_key:
        raise PublishError(
            f"run {request.run_key} has no claim on partition {request.partition} of {request.table} in this warehouse "
            f"(token {request.token}): the warehouse is another one, or a new file, since the run was planned. "
            "Nothing was published. Plan the run again (run the same command again)."
        )


def live_publication(connection: duckdb.DuckDBPyConnection, table: str, partition: dt.date) -> Live | None:
    """Return the live publication of a partition, or `None`."""
    newest = f"""
        SELECT token, run_key FROM {LEDGER} WHERE table_name = ? AND partition_date = ?
        ORDER BY token DESC, entry DESC LIMIT 1
    """  # noqa: S608 - constants
    row = connection.execute(newest, [table, partition]).fetchone()
    if row is None:
        return None
    made = f"""
        SELECT rows, published_at FROM {LEDGER}
        WHERE table_name = ? AND partition_date = ? AND run_key = ? AND outcome = 'published'
        ORDER BY entry DESC LIMIT 1
    """  # noqa: S608 - constants
    facts = connection.execute(made, [table, partition, row[1]]).fetchone()
    if facts is None:
        raise PublishError(
            f"the ledger of {table} names run {row[1]} live for {partition} without its publication; it was edited"
        )
    return Live(token=row[0], run_key=row[1], rows=facts[0], published_at=facts[1])


def fence(live: Live | None, request: PublishRequest) -> None:
    """Raise `StaleRun` when a run planned later is live."""
    if live is not None and live.token > request.token and live.run_key != request.run_key:
        raise StaleRun(request.table, partition=request.partition.isoformat(), token=request.token, newest=live.token)


def live_partitions(connection: duckdb.DuckDBPyConnection, table: str) -> list[dt.date]:
    """Return all partitions of a table that have a publication."""
    query = f"SELECT DISTINCT partition_date FROM {LEDGER} WHERE table_name = ? ORDER BY 1"  # noqa: S608
    return [row[0] for row in connection.execute(query, [table]).fetchall()]


def append(connection: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    """Add an entry to the ledger."""
    p = publication
    facts = [
        p.token,
        p.table,
        p.partition,
        p.run_key,
        p.spec,
        p.spec_hash,
        p.model_name,
        p.model_version,
        p.model_digest,
    ]
    facts += [p.rows, p.replaced_rows, p.outcome, p.recorded_at, p.run_folder, p.code_version]
    entry = f"SELECT coalesce(max(entry), 0) + 1, {', '.join('?' for _ in facts)} FROM {LEDGER}"  # noqa: S608
    connection.execute(f"INSERT INTO {LEDGER} {entry}", facts)


def publication(
    request: PublishRequest, *, warehouse: str, outcome: Outcome, rows: int, replaced: int, since: dt.datetime
) -> Publication:
    """Describe a publication."""
    return Publication(
        warehouse=warehouse,
        table=request.table,
        partition=request.partition,
        token=request.token,
        run_key=request.run_key,
        spec=request.spec,
        spec_hash=request.spec_hash,
        model_name=request.model_name,
        model_version=request.model_version,
        model_digest=request.model_digest,
        rows=rows,
        replaced_rows=replaced,
        outcome=outcome,
        published_at=since,
        recorded_at=request.now,
        run_folder=request.run_folder,
        code_version=request.code_version,
    )
