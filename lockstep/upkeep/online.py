"""An online store beside the ledger: what it should have, what it has, and how a table is forgotten."""

import contextlib
import datetime as dt
from dataclasses import dataclass

from lockstep.publish.contract import Publication, Warehouse
from lockstep.publish.lineage import live_entries
from lockstep.publish.online.contract import LoadedPartition
from lockstep.publish.online.stores import open_online_store
from lockstep.specs.online_spec import Online
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.steps.online import online_shape


@dataclass(frozen=True)
class OnlineDay:
    """A day of a table.

    Attributes:
        live: What the ledger says, of the newest days that are to be kept.
        loaded: What the store has.
        same: Whether both are of one run, and it is looked up as the spec says.
    """

    partition: dt.date
    live: Publication | None
    loaded: LoadedPartition | None
    same: bool


def online_days(warehouse: Warehouse, spec: ScoringSpec, settings: Settings) -> list[OnlineDay]:
    """Compare an online store with the ledger, newest day first.

    Raises:
        OnlineStoreUnavailable: The store cannot be asked.
        PublishError: The ledger cannot be asked.
    """
    online, table = spec.online or Online(), spec.publish.table
    entries = {entry.partition: entry for entry in live_entries(warehouse.history(table))}
    live = {day: entries[day] for day in sorted(entries, reverse=True)[: online.keep_days]}
    location = settings.online_store(online.store)
    with contextlib.closing(open_online_store(location, wait_s=settings.warehouse_wait_s)) as store:
        there = {one.partition: one for one in store.loaded(table)}
    days, shape = sorted({*live, *there}, reverse=True), online_shape(spec, online)
    return [
        OnlineDay(
            day,
            live.get(day),
            there.get(day),
            same=day in live and day in there and (there[day].run_key, there[day].shape) == (live[day].run_key, shape),
        )
        for day in days
    ]


def drop_online(spec: ScoringSpec, settings: Settings) -> int:
    """Forget a spec's table in its online store; return how many partitions there were.

    Raises:
        OnlineStoreUnavailable: The store cannot be asked.
    """
    location = settings.online_store((spec.online or Online()).store)
    with contextlib.closing(open_online_store(location, wait_s=settings.warehouse_wait_s)) as store:
        return store.drop_table(spec.publish.table)
