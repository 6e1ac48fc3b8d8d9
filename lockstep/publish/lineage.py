"""Which model made what is live, from the entries of a ledger."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from lockstep.publish.contract import Outcome, Publication, live_entry

MADE: tuple[Outcome, ...] = ("published", "restored")
SCHEMA = pa.schema(
    [
        ("table_name", pa.string()),
        ("partition_date", pa.date32()),
        ("spec", pa.string()),
        ("model_name", pa.string()),
        ("model_version", pa.int64()),
        ("model_digest", pa.string()),
        ("run_key", pa.string()),
        ("rows", pa.int64()),
        ("published_at", pa.timestamp("us", "UTC")),
        ("publications", pa.int64()),
        ("noops", pa.int64()),
    ]
)


def by_partition(entries: Sequence[Publication]) -> dict[tuple[str, dt.date], list[Publication]]:
    """Group entries by table and partition, in their order."""
    grouped: dict[tuple[str, dt.date], list[Publication]] = {}
    for one in entries:
        grouped.setdefault((one.table, one.partition), []).append(one)
    return grouped


def live_entries(entries: Sequence[Publication]) -> list[Publication]:
    """Return the live entry of each partition, by table and partition."""
    found = [live_entry(group) for _, group in sorted(by_partition(entries).items())]
    return [one for one in found if one is not None]


def lineage_rows(entries: Sequence[Publication]) -> pa.Table:
    """Return one row for each live partition, as the view `model_lineage` of the SQL warehouses has."""
    grouped = by_partition(entries)
    rows = []
    for live in live_entries(entries):
        counts = Counter(one.outcome for one in grouped[live.table, live.partition])
        facts = live.model_dump(include=set(SCHEMA.names))
        named = {"table_name": live.table, "partition_date": live.partition}
        made = sum(counts[outcome] for outcome in MADE)
        rows.append({**facts, **named, "publications": made, "noops": counts["noop"]})
    return pa.Table.from_pylist(rows, SCHEMA)
