"""Fencing tokens from an Iceberg table: each claim is an empty snapshot, and its sequence number is the token.

The table format gives every commit a sequence number above all earlier ones (Iceberg table specification, "Sequence
Numbers"), whatever the catalog, so no token is given out twice.
"""

import contextlib
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.update.snapshot import ExpireSnapshots

from lockstep.publish.lake.engine import CLAIMS

SCHEMA = pa.schema([("claim", pa.string())])
PROPERTIES = {
    "commit.retry.num-retries": "0",
    "format-version": "2",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}
KEYS = ("lockstep.table", "lockstep.partition", "lockstep.run-key")
# A run whose claim was forgotten has to be planned again.
KEPT_CLAIMS = 1_000


def add_claim(catalog: Catalog, namespace: str, *, claim: tuple[str, str, str]) -> int:
    """Record a claim (table, partition, run key); return its token."""
    table = _load(catalog, namespace) or catalog.create_table_if_not_exists(
        f"{namespace}.{CLAIMS}", SCHEMA, properties=PROPERTIES
    )
    change = table.transaction()
    with change.update_snapshot(snapshot_properties=dict(zip(KEYS, claim, strict=True))).fast_append() as snapshot:
        pass
    after = change.commit_transaction()
    made = after.metadata.snapshot_by_id(snapshot.snapshot_id)
    if made is None or made.sequence_number is None:
        raise CommitFailedException("the claim is not in the table that was committed")
    if len(after.metadata.snapshots) > 2 * KEPT_CLAIMS:
        _forget_oldest(after)
    return made.sequence_number


def find_claim(catalog: Catalog, namespace: str, token: int) -> tuple[str, str, str] | None:
    """Return (table, partition, run key) of a token; `None` when there is no such claim, or it was forgotten."""
    table = _load(catalog, namespace)
    for snapshot in reversed(table.metadata.snapshots if table is not None else []):
        if snapshot.sequence_number == token:
            return _claim(snapshot.summary)
    return None


def _claim(summary: Any) -> tuple[str, str, str] | None:
    found = [summary.get(key) if summary is not None else None for key in KEYS]
    return (str(found[0]), str(found[1]), str(found[2])) if all(found) else None


def _forget_oldest(table: Table) -> None:
    oldest = sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0)[:-KEPT_CLAIMS]
    change = table.transaction()
    with contextlib.suppress(CommitFailedException):  # the next claim will do it
        ExpireSnapshots(change).by_ids([snapshot.snapshot_id for snapshot in oldest]).commit()
        change.commit_transaction()


def _load(catalog: Catalog, namespace: str) -> Table | None:
    try:
        return catalog.load_table(f"{namespace}.{CLAIMS}")
    except (NoSuchTableError, NoSuchNamespaceError):
        return None
