"""The ledger of the SQL warehouses: which run made which partition, and which token may still publish.

The live publication of a partition is its entry with the highest token; a no-op is an entry too, so a run that was
planned again and found itself live already also shuts out older runs. Refusals are entries that change nothing.
"""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from lockstep.publish.contract import Publication, PublishRequest, live_entry
from lockstep.publish.fencing import no_claim
from lockstep.publish.sql.session import SqlSession

LEDGER, CLAIMS, LINEAGE = "lockstep_ledger", "lockstep_claims", "model_lineage"
# Of engines that lock by changing a table.
LEDGER_LOCK, CLAIMS_LOCK, TABLES_LOCK = "lockstep_lock_ledger", "lockstep_lock_claims", "lockstep_lock_tables"
RESERVED = (LEDGER, CLAIMS, LINEAGE, LEDGER_LOCK, CLAIMS_LOCK, TABLES_LOCK)

# Column, type, and the field of `Publication` that it holds. Later columns were added to ledgers of earlier versions.
COLUMNS = (
    ("token", "BIGINT", "token"),
    ("table_name", "VARCHAR", "table"),
    ("partition_date", "DATE", "partition"),
    ("run_key", "VARCHAR", "run_key"),
    ("spec", "VARCHAR", "spec"),
    ("spec_hash", "VARCHAR", "spec_hash"),
    ("model_name", "VARCHAR", "model_name"),
    ("model_version", "BIGINT", "model_version"),
    ("model_digest", "VARCHAR", "model_digest"),
    ("rows", "BIGINT", "rows"),
    ("replaced_rows", "BIGINT", "replaced_rows"),
    ("outcome", "VARCHAR", "outcome"),
    ("published_at", "TIMESTAMPTZ", "recorded_at"),
    ("run_folder", "VARCHAR", "run_folder"),
    ("code_version", "VARCHAR", "code_version"),
    ("live_since", "TIMESTAMPTZ", "published_at"),
    ("actor", "VARCHAR", "actor"),
    ("checks", "VARCHAR", "checks"),
    ("reason", "VARCHAR", "reason"),
    ("changes", "VARCHAR", "changes"),
    ("reporting", "VARCHAR", "reporting"),
)
LATER = 15
JSON_FIELDS = {"changes", "reporting"}

_LIVE = "row_number() OVER (PARTITION BY table_name, partition_date ORDER BY token DESC, entry DESC) AS place"
_MADE = "outcome IN ('published', 'restored')"


def lineage_query(ledger: str = LEDGER, *, rows: str = '"rows"') -> str:
    """Return the query of the view `model_lineage`: what is live, and which model made it.

    Args:
        ledger: Name of the ledger, as the engine writes it.
        rows: Name of its column `rows`, which some engines have as a keyword.
    """
    return f"""
WITH live AS (
  SELECT table_name, partition_date, run_key FROM (
    SELECT table_name, partition_date, run_key, {_LIVE} FROM {ledger} WHERE outcome <> 'refused'
  ) AS ordered WHERE place = 1
),
made AS (
  SELECT table_name, partition_date, run_key, max(entry) AS entry
  FROM {ledger} WHERE {_MADE} GROUP BY table_name, partition_date, run_key
),
counted AS (
  SELECT table_name, partition_date,
    count(CASE WHEN {_MADE} THEN 1 END) AS publications, count(CASE WHEN outcome = 'noop' THEN 1 END) AS noops
  FROM {ledger} GROUP BY table_name, partition_date
)
SELECT
  e.table_name, e.partition_date, e.spec, e.model_name, e.model_version, e.model_digest,
  e.run_key, e.{rows}, e.published_at, counted.publications, counted.noops
FROM live
JOIN made ON made.table_name = live.table_name AND made.partition_date = live.partition_date
  AND made.run_key = live.run_key
JOIN {ledger} e ON e.entry = made.entry
JOIN counted ON counted.table_name = live.table_name AND counted.partition_date = live.partition_date
ORDER BY e.table_name, e.partition_date
"""  # noqa: S608 - constants of ours


def ensure_ledger(session: SqlSession) -> None:
    """Create ledger, claims and lineage view where they are not there yet, and add what earlier versions lack."""
    if _is_whole(session):
        return
    session.lock(LEDGER)
    if _is_whole(session):  # somebody else made it meanwhile, and others use it already
        return
    session.rows(
        f"CREATE TABLE IF NOT EXISTS {CLAIMS} (table_name VARCHAR, partition_date DATE, token BIGINT, "
        "run_key VARCHAR, claimed_at TIMESTAMPTZ, PRIMARY KEY (table_name, partition_date, token))"
    )
    columns = ", ".join(f'"{name}" {kind}' for name, kind, _ in COLUMNS)
    session.rows(f"CREATE TABLE IF NOT EXISTS {LEDGER} (entry BIGINT PRIMARY KEY, {columns})")
    for name, kind, _ in COLUMNS[LATER:]:
        session.rows(f'ALTER TABLE {LEDGER} ADD COLUMN IF NOT EXISTS "{name}" {kind}')
    session.rows(f"CREATE OR REPLACE VIEW {LINEAGE} AS {lineage_query()}")


def _is_whole(session: SqlSession) -> bool:
    names = [name for name, _, _ in COLUMNS]
    return list(session.columns(LEDGER)) == ["entry", *names] and bool(session.columns(LINEAGE))


def has_ledger(session: SqlSession) -> bool:
    """Whether the warehouse has a ledger."""
    return bool(session.columns(LEDGER))


def claim_token(session: SqlSession, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> int:
    """Record a claim; return its token, above all that were handed out for the partition."""
    session.lock(f"{CLAIMS}/{table}/{partition}")
    query = f"SELECT coalesce(max(token), 0) + 1 FROM {CLAIMS} WHERE table_name = ? AND partition_date = ?"  # noqa: S608
    token = int(session.rows(query, [table, partition])[0][0])
    session.rows(f"INSERT INTO {CLAIMS} VALUES (?, ?, ?, ?, ?)", [table, partition, token, run_key, now])  # noqa: S608
    return token


def check_claim(session: SqlSession, request: PublishRequest) -> None:
    """Raise `PublishError` unless this warehouse gave the request's token to its run."""
    query = f"SELECT run_key FROM {CLAIMS} WHERE table_name = ? AND partition_date = ? AND token = ?"  # noqa: S608
    found = session.rows(query, [request.table, request.partition, request.token])
    if not found or found[0][0] != request.run_key:
        raise no_claim(request)


def live_publication(session: SqlSession, table: str, *, partition: dt.date, warehouse: str) -> Publication | None:
    """Return the entry of the live rows of a partition, or `None`."""
    return live_entry(entries(session, table, partition=partition, warehouse=warehouse))


def entries(
    session: SqlSession, table: str | None, *, warehouse: str, partition: dt.date | None = None
) -> list[Publication]:
    """Return entries, oldest first.

    Args:
        session: A transaction.
        table: Only of this table; none: of all.
        warehouse: Location, which the entries name.
        partition: Only of this partition.
    """
    there = session.columns(LEDGER)  # a ledger of an earlier version has fewer
    known = [(name, field) for name, _, field in COLUMNS if name in there]
    names = ", ".join(f'"{name}"' for name, _ in known)
    wanted = [(name, value) for name, value in (("table_name", table), ("partition_date", partition)) if value]
    where = " AND ".join(f"{name} = ?" for name, _ in wanted) or "true"
    query = f"SELECT {names} FROM {LEDGER} WHERE {where} ORDER BY entry"  # noqa: S608 - constants
    found = session.rows(query, [value for _, value in wanted])
    return [publication_of(dict(zip((field for _, field in known), row, strict=True)), warehouse) for row in found]


def live_partitions(session: SqlSession, table: str) -> list[dt.date]:
    """Return all partitions of a table that have a publication."""
    query = f"SELECT DISTINCT partition_date FROM {LEDGER} WHERE table_name = ? AND {_MADE} ORDER BY 1"  # noqa: S608
    return [row[0] for row in session.rows(query, [table])]


def append(session: SqlSession, publication: Publication) -> None:
    """Add an entry to the ledger."""
    session.lock(LEDGER)
    facts = [stored(publication, name) for _, _, name in COLUMNS]
    number = int(session.rows(f"SELECT coalesce(max(entry), 0) + 1 FROM {LEDGER}")[0][0])  # noqa: S608
    marks = ", ".join("?" for _ in range(len(facts) + 1))
    session.rows(f"INSERT INTO {LEDGER} VALUES ({marks})", [number, *facts])  # noqa: S608


def stored(publication: Publication, name: str) -> object:
    """Return a field of an entry as its column holds it."""
    value = getattr(publication, name)
    return json.dumps(value) if name in JSON_FIELDS else value


def publication_of(row: Mapping[str, Any], warehouse: str) -> Publication:
    """Return the entry that a row holds: field to value."""
    facts = {name: value for name, value in row.items() if value is not None}
    facts |= {name: json.loads(facts[name]) for name in JSON_FIELDS & facts.keys()}
    return Publication(**{"warehouse": warehouse, "published_at": facts["recorded_at"], **facts})
