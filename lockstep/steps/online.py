"""The online store of a spec: what is live by the ledger, newest days first, and nothing else."""

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lockstep.errors import InputError, LockstepError
from lockstep.publish.contract import Publication, Warehouse
from lockstep.publish.lineage import live_entries
from lockstep.publish.online.contract import Fence, LoadedPartition, OnlineShape, OnlineStore, PartitionLoad
from lockstep.publish.online.errors import (
    LedgerBehind,
    NewerOnline,
    OnlineRowsUnfit,
    OnlineStoreBehind,
    OnlineStoreError,
)
from lockstep.publish.online.staged_rows import StagedRows
from lockstep.publish.online.stores import open_online_store
from lockstep.specs.online_spec import Online
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.steps.live_rows import live_rows

log = logging.getLogger("lockstep.online")

OVERTAKEN = "overtaken"


@dataclass(frozen=True)
class OnlineLoad:
    """What became of an online store.

    Attributes:
        location: Where it is.
        days: What became of each of the newest live days: `loaded`, `unchanged`, `not kept`, or `overtaken` by a run
            that was published meanwhile.
        rows: Rows that were loaded.
        failures: Days that could not be loaded, and why.
    """

    location: str
    days: Mapping[dt.date, str]
    rows: int
    failures: Mapping[dt.date, LockstepError]

    def facts(self, own: dt.date) -> dict[str, Any]:
        """Return what machines are told by a step that published a day."""
        days = {day.isoformat(): outcome for day, outcome in self.days.items()}
        failed = {day.isoformat(): str(error) for day, error in self.failures.items()}
        facts = {"store": self.location, "outcome": self.days.get(own, "not kept"), "days": days, "failed": failed}
        return {"online": facts, "online_rows": self.rows}


@dataclass(frozen=True)
class _Loading:
    """An open store, and what is to be in it."""

    warehouse: Warehouse
    spec: ScoringSpec
    online: Online
    settings: Settings
    store: OnlineStore

    @property
    def table(self) -> str:
        return self.spec.publish.table


def online_shape(spec: ScoringSpec, online: Online) -> OnlineShape:
    """Return how the rows of a spec are looked up, and what is found."""
    key = online.key_columns(spec.key, partition=spec.partition.column)
    return OnlineShape(key=key, columns=online.columns or spec.output.columns)


def load_online(warehouse: Warehouse, spec: ScoringSpec, settings: Settings, *, first: dt.date | None) -> OnlineLoad:
    """Make the online store of a spec what the ledger says is live. Repeating it changes nothing.

    The newest days are compared, not only the one that was published: it loads what an earlier run could not.

    Args:
        warehouse: Where the spec publishes.
        spec: A spec with `online`.
        settings: Where the store is.
        first: The day that comes first; without it all are equal. None of the others stops it.

    Raises:
        SettingsError: Nobody said where the store is.
        OnlineStoreBehind: The first day, or without one any day, could not be loaded.
    """
    online = spec.online or Online()
    location = settings.online_store(online.store)
    entries = _live(warehouse, spec.publish.table, location)
    newest = sorted(entries, key=lambda entry: entry.partition, reverse=True)[: online.keep_days]
    newest.sort(key=lambda entry: entry.partition != first)
    with contextlib.closing(open_online_store(location, wait_s=settings.warehouse_wait_s)) as store:
        done = _load_all(_Loading(warehouse, spec, online, settings, store), newest)
        urgent = {day: error for day, error in done.failures.items() if first in {None, day}}
        if urgent:
            raise _behind(store, spec.publish.table, urgent)
    for day, error in done.failures.items():
        log.warning("online store: %s of %s was not loaded: %s", day, spec.publish.table, error)
    return done


@contextlib.contextmanager
def online_after(warehouse: Warehouse, spec: ScoringSpec, settings: Settings) -> Iterator[None]:
    """Make the online store follow whatever the body does to the warehouse, also when the body fails half way.

    Raises:
        OnlineStoreBehind: The body is done, and the store could not follow.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(LockstepError):  # the body's own error says what to do
            _follow(warehouse, spec, settings)
        raise
    _follow(warehouse, spec, settings)


def _follow(warehouse: Warehouse, spec: ScoringSpec, settings: Settings) -> None:
    if spec.online is not None:
        load_online(warehouse, spec, settings, first=None)


def _live(warehouse: Warehouse, table: str, location: str) -> list[Publication]:
    try:
        return live_entries(warehouse.history(table))
    except LockstepError as error:
        reasons = {"all days": f"the ledger cannot be read now ({type(error).__name__})"}
        raise OnlineStoreBehind(table, location=location, reasons=reasons, retryable=error.retryable) from error


def _load_all(loading: _Loading, entries: Sequence[Publication]) -> OnlineLoad:
    days: dict[dt.date, str] = {}
    failures: dict[dt.date, LockstepError] = {}
    rows = 0
    for entry in entries:
        try:
            days[entry.partition] = _load(loading, entry)
            rows += entry.rows if days[entry.partition] == "loaded" else 0
        except LockstepError as error:
            failures[entry.partition] = error
            if isinstance(error, InputError | OnlineRowsUnfit):
                _forget(loading, entry)
    try:
        loading.store.trim(loading.table, loading.online.keep_days)
    except OnlineStoreError as error:
        log.warning("online store: old days of %s were not deleted: %s", loading.table, error)
    return OnlineLoad(loading.store.location, days, rows, failures)


def _load(loading: _Loading, entry: Publication) -> str:
    shape = online_shape(loading.spec, loading.online)
    there = {one.partition: one for one in loading.store.loaded(loading.table)}.get(entry.partition)
    if there is not None and _is(there, entry, shape):
        return "unchanged"
    read = partial(
        live_rows, loading.warehouse, entry, loading.settings, partition_column=loading.spec.partition.column
    )
    load = PartitionLoad(
        table=loading.table,
        partition=entry.partition,
        token=entry.token,
        run_key=entry.run_key,
        warehouse=loading.warehouse.location,
        shape=shape,
        content=StagedRows(read, shape, (loading.table, entry.partition.isoformat()), entry.rows),
        keep_days=loading.online.keep_days,
        published_at=entry.published_at,
        now=dt.datetime.now(dt.UTC),
    )
    try:
        return loading.store.put_partition(load)
    except NewerOnline as error:
        now = loading.warehouse.live(loading.table, entry.partition)
        if now is not None and now.token > entry.token:
            return OVERTAKEN
        raise LedgerBehind(loading.table, partition=entry.partition.isoformat(), token=entry.token) from error


def _is(there: LoadedPartition, entry: Publication, shape: OnlineShape) -> bool:
    return (there.run_key, there.token, there.shape) == (entry.run_key, entry.token, shape)


def _forget(loading: _Loading, entry: Publication) -> None:
    """Drop what the store has of a day that cannot be loaded, if it is no longer live."""
    fence = Fence(entry.token, entry.run_key, loading.warehouse.location)
    try:
        there = {one.partition: one.run_key for one in loading.store.loaded(loading.table)}
        if there.get(entry.partition, entry.run_key) != entry.run_key:
            loading.store.drop_partition(loading.table, entry.partition, fence)
    except OnlineStoreError as error:
        log.warning("online store: %s of %s was not deleted: %s", entry.partition, loading.table, error)


def _behind(store: OnlineStore, table: str, failures: Mapping[dt.date, LockstepError]) -> OnlineStoreBehind:
    try:
        there = {one.partition: f"run {one.run_key}" for one in store.loaded(table)}
        holds = {day: there.get(day, "no rows") for day in failures}
    except OnlineStoreError:
        holds = dict.fromkeys(failures, "what it had")
    reasons = {day.isoformat(): f"{error}; of that day it has {holds[day]}" for day, error in failures.items()}
    retryable = any(error.retryable for error in failures.values())
    return OnlineStoreBehind(table, location=store.location, reasons=reasons, retryable=retryable)
