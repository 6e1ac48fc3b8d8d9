"""Ledger and claims in BigQuery: the tables and columns of the SQL warehouses."""

import datetime as dt
from dataclasses import dataclass

from lockstep.errors import PublishError
from lockstep.publish.bigquery.script import CLAIM_TYPES, LEDGER_TYPES
from lockstep.publish.bigquery.session import BigQuerySession
from lockstep.publish.contract import Publication, PublishRequest, live_entry
from lockstep.publish.fencing import no_claim
from lockstep.publish.sql.ledger import (
    CLAIMS,
    CLAIMS_LOCK,
    COLUMNS,
    LEDGER,
    LEDGER_LOCK,
    LINEAGE,
    lineage_query,
    publication_of,
    stored,
)


@dataclass(frozen=True)
class Seen:
    """The ledger of one partition as it was looked at.

    Attributes:
        live: Entry of the live rows.
        newest: Number of the newest entry, whatever its outcome; 0: there is none.
    """

    live: Publication | None
    newest: int


def ensure_ledger(session: BigQuerySession) -> None:
    """Create ledger, claims, locks and lineage view where they are not there yet. Repeating it is safe.

    Raises:
        PublishError: They would not stay there.
    """
    if session.columns(LINEAGE):  # made last
        return
    if session.expiring:
        raise PublishError(
            f"warehouse {session.location}: tables or partitions of this dataset expire by default, and scores and "
            "ledger would vanish with them. Nothing was published. Take the default expiration off the dataset, or "
            "name another one in LOCKSTEP_BIGQUERY."
        )
    session.create(CLAIMS, CLAIM_TYPES)
    session.create(LEDGER, {"entry": "INT64", **LEDGER_TYPES})
    for lock in (CLAIMS_LOCK, LEDGER_LOCK):
        session.rows(f"CREATE TABLE IF NOT EXISTS {session.dataset.quoted(lock)} AS SELECT 1 AS held")
    query = lineage_query(session.dataset.quoted(LEDGER), rows="`rows`")
    session.rows(f"CREATE OR REPLACE VIEW {session.dataset.quoted(LINEAGE)} AS {query}")


def next_token(session: BigQuerySession, table: str, *, partition: dt.date) -> int:
    """Return the token that the next claim of a partition would get."""
    query = (
        f"SELECT COALESCE(MAX(token), 0) + 1 FROM {session.dataset.quoted(CLAIMS)} "  # noqa: S608 - constants
        "WHERE table_name = @p_table_name AND partition_date = @p_partition_date"
    )
    return int(session.rows(query, {"table_name": table, "partition_date": partition})[0][0])


def check_claim(session: BigQuerySession, request: PublishRequest) -> None:
    """Raise `PublishError` unless this warehouse gave the request's token to its run."""
    query = (
        f"SELECT run_key FROM {session.dataset.quoted(CLAIMS)} "  # noqa: S608 - constants
        "WHERE table_name = @p_table_name AND partition_date = @p_partition_date AND token = @p_token"
    )
    asked = {"table_name": request.table, "partition_date": request.partition, "token": request.token}
    if session.rows(query, asked) != [(request.run_key,)]:
        raise no_claim(request)


def look(session: BigQuerySession, table: str, *, partition: dt.date) -> Seen:
    """Return what the ledger says of a partition."""
    found = _entries(session, {"table_name": table, "partition_date": partition})
    return Seen(live_entry([one for _, one in found]), max((number for number, _ in found), default=0))


def entries(session: BigQuerySession, table: str | None) -> list[Publication]:
    """Return the entries of a table, or of all, oldest first; none when there is no ledger."""
    if not session.columns(LEDGER):
        return []
    return [one for _, one in _entries(session, {"table_name": table} if table else {})]


def facts(publication: Publication) -> dict[str, object]:
    """Return an entry as the columns of the ledger."""
    return {name: stored(publication, field) for name, _, field in COLUMNS}


def _entries(session: BigQuerySession, wanted: dict[str, object]) -> list[tuple[int, Publication]]:
    names = ", ".join(f"`{name}`" for name, _, _ in COLUMNS)
    where = " AND ".join(f"{name} = @p_{name}" for name in wanted) or "TRUE"
    query = f"SELECT `entry`, {names} FROM {session.dataset.quoted(LEDGER)} WHERE {where} ORDER BY `entry`"  # noqa: S608
    fields = [field for _, _, field in COLUMNS]
    return [
        (int(row[0]), publication_of(dict(zip(fields, row[1:], strict=True)), session.location))
        for row in session.rows(query, wanted)
    ]
