"""What is live of a table, from the ledger."""

import datetime as dt

from lockstep.publish.contract import Publication, Warehouse, live_entry


def live_publication(warehouse: Warehouse, table: str, partition: dt.date | None) -> Publication | None:
    """Return the entry of what is live of a day, or of the latest day that has live rows; none: there is nothing."""
    if partition is not None:
        return warehouse.live(table, partition)
    entries = warehouse.history(table)
    newest = max((entry.partition for entry in entries if entry.outcome != "refused"), default=None)
    return live_entry([entry for entry in entries if entry.partition == newest])
