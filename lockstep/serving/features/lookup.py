"""Predictions that were published before, by key: what is asked, and what is answered, whichever store has them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.publish.online.contract import LoadedPartition
from lockstep.publish.online.keys import KeyColumn, NotAKey, request_keys
from lockstep.publish.online.row_format import RowFormat
from lockstep.serving.features.errors import LookupKeyInvalid

LookupState = Literal["found", "stale", "missing"]


@dataclass(frozen=True)
class LookupRequest:
    """What is looked up.

    Attributes:
        table: Published table.
        keys: Plain values of each column of the key, all of one length.
        as_of: The newest partition up to this day counts; none: the newest.
        max_age_s: Rows whose day began longer ago are stale; none: no row is.
    """

    table: str
    keys: Mapping[str, Sequence[Any]]
    as_of: dt.date | None = None
    max_age_s: float | None = None

    @property
    def rows(self) -> int:
        """How many keys are looked up."""
        return len(next(iter(self.keys.values()), ()))


@dataclass(frozen=True)
class Provenance:
    """Where the prediction of a row comes from.

    Attributes:
        as_of: Its partition.
        age_s: Seconds since that day began (UTC).
        published_at: When it went live in the warehouse.
    """

    as_of: dt.date
    age_s: float
    model_name: str
    model_version: int
    model_digest: str
    run_key: str
    published_at: dt.datetime


@dataclass(frozen=True)
class Lookup:
    """What was found, row by row as it was asked.

    Attributes:
        predictions: The columns that were loaded; null in rows that are not `found`. Without columns when nothing is
            loaded at all.
        states: What became of each row. A stale row has provenance and no prediction.
        provenance: Of rows that are found or stale.
    """

    predictions: pa.RecordBatch
    states: tuple[LookupState, ...]
    provenance: tuple[Provenance | None, ...]

    @cached_property
    def found(self) -> npt.NDArray[np.bool_]:
        """Which rows have a prediction, `(rows,) bool`."""
        return np.array([state == "found" for state in self.states], np.bool_)


class OnlineReader(Protocol):
    """Looks predictions up; never waits for whoever loads them."""

    async def lookup(self, request: LookupRequest, *, timeout_s: float) -> Lookup:
        """Find the newest rows of keys; all of them are of one moment.

        Raises:
            LookupKeyInvalid: The request has other key columns than the table, or values of another kind.
            LookupUnavailable: The store gave no answer in time.
        """

    async def aclose(self) -> None:
        """Let go of the store."""


@dataclass(frozen=True)
class Day:
    """A loaded partition with what is needed to look up in it; made once for each load."""

    loaded: LoadedPartition

    @cached_property
    def format(self) -> RowFormat:
        """Of its rows."""
        return RowFormat(self.loaded.schema)

    @cached_property
    def key(self) -> tuple[KeyColumn, ...]:
        """The columns that it is looked up by."""
        return self.loaded.key

    @cached_property
    def began(self) -> dt.datetime:
        """When the day began (UTC)."""
        return dt.datetime.combine(self.loaded.partition, dt.time(), dt.UTC)

    @cached_property
    def makers(self) -> list[dict[str, Any]]:
        """Who made its rows."""
        return [maker.model_dump() for maker in self.loaded.makers]

    def keys(self, request: LookupRequest) -> list[bytes]:
        """Return the keys of a request.

        Raises:
            LookupKeyInvalid: They are not those of the table.
        """
        names = [column.name for column in self.key]
        if set(names) != set(request.keys):
            problem = f"expected the key columns {', '.join(names)}, got {', '.join(request.keys) or 'none'}"
            raise LookupKeyInvalid(request.table, problem=problem)
        try:
            return request_keys([request.keys[name] for name in names], self.key)
        except NotAKey as error:
            raise LookupKeyInvalid(request.table, problem=str(error)) from error
        except ValueError as error:  # of zip
            raise LookupKeyInvalid(request.table, problem="its key columns differ in length") from error

    def provenance(self, now: dt.datetime) -> list[Provenance]:
        """Say where rows of this day come from, for each of its makers."""
        facts: dict[str, Any] = {"as_of": self.loaded.partition, "age_s": (now - self.began).total_seconds()}
        return [Provenance(**facts, **maker, published_at=self.loaded.published_at) for maker in self.makers]


def days_asked(days: Sequence[Day], request: LookupRequest) -> list[Day]:
    """Return the days that answer a request, the newest first: up to its own, of one key, and with rows.

    Args:
        days: All days that are loaded, the newest first.
        request: What is looked up.
    """
    fit = [day for day in days if request.as_of is None or day.loaded.partition <= request.as_of]
    fit = [day for day in fit if day.loaded.rows]
    return [day for day in fit if day is fit[0] or day.key == fit[0].key]


Hit = tuple[Day, bytes]


def answer(request: LookupRequest, hits: Sequence[Hit | None], *, days: Sequence[Day], now: dt.datetime) -> Lookup:
    """Put the rows that were found into columns.

    Args:
        request: What was looked up.
        hits: The day and the bytes that were found for each row.
        days: The days that were looked at, the newest first.
        now: Present time.
    """
    provenance: list[Provenance | None] = [None] * len(hits)
    batches, places = [], np.full(len(hits), -1, np.int64)
    start = 0
    for day in days:
        rows = [row for row, hit in enumerate(hits) if hit is not None and hit[0] is day]
        if not rows:
            continue
        batch, makers = day.format.decode([hits[row][1] for row in rows])  # type: ignore[index]
        known = day.provenance(now)
        for row, maker in zip(rows, makers.tolist(), strict=True):
            provenance[row] = known[maker]
        batches.append(batch)
        places[rows] = np.arange(start, start + len(rows))
        start += len(rows)
    states = tuple(_state(one, request.max_age_s) for one in provenance)
    return Lookup(_placed(batches, places, states, schema=_schema(days)), states, tuple(provenance))


def _placed(
    batches: Sequence[pa.RecordBatch],
    places: npt.NDArray[np.int64],
    states: Sequence[LookupState],
    *,
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Return rows in the order in which they were asked, null where there is none.

    Args:
        batches: Rows of each day.
        places: Place of each asked row among all of them, `(rows,) int64`; below 0 where there is none.
        states: What became of each asked row; only what is found is shown.
        schema: Columns of the answer.
    """
    shown = [state == "found" for state in states]
    if len(batches) == 1 and all(shown) and batches[0].schema == schema:
        return batches[0]
    indices = pa.array(places, mask=~np.array(shown, np.bool_))
    table = pa.Table.from_batches([_shaped(batch, schema) for batch in batches], schema)
    taken = table.combine_chunks().take(indices).to_batches()
    return taken[0] if taken else pa.RecordBatch.from_pylist([], schema)


def _state(one: Provenance | None, max_age_s: float | None) -> LookupState:
    if one is None:
        return "missing"
    return "found" if max_age_s is None or one.age_s <= max_age_s else "stale"


def _schema(days: Sequence[Day]) -> pa.Schema:
    """Return the columns of an answer: those of the newest day, each of the widest type that it has in any."""
    if not days:
        return pa.schema([])
    newest = days[0].format.schema
    if all(day.format.schema == newest for day in days):
        return newest
    whole = pa.unify_schemas([day.format.schema for day in days], promote_options="permissive")
    return pa.schema([whole.field(name) for name in whole.names])


def _shaped(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema == schema:
        return batch
    there = batch.schema.names
    columns = [
        batch.column(field.name).cast(field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
