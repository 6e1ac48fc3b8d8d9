"""What an online store does, whichever it is."""

import base64
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa

from lockstep.publish.online.errors import NewerOnline, OtherWarehouse
from lockstep.publish.online.keys import KeyColumn
from lockstep.run.plan import Record

Outcome = Literal["loaded", "unchanged", "not kept"]
# How many rows are written at a time.
CHUNK_ROWS = 20_000
# A load that was begun and has shown no sign of life for so long is over.
ABANDONED_S = 3_600
GIVEN_UP = "this load took so long that it was given up for dead"


class Maker(Record):
    """Who made a row: in a canary, rows of one partition are of two versions."""

    model_name: str
    model_version: int
    model_digest: str
    run_key: str


class OnlineShape(Record):
    """How rows are looked up, and what is found: rows that were loaded in another shape are loaded anew."""

    key: tuple[str, ...]
    columns: tuple[str, ...]


class LoadedPartition(Record):
    """A partition that an online store has.

    Attributes:
        load: Name of this load in its store; never given twice.
        token: Fencing token of the publication.
        run_key: Run that was published.
        warehouse: Location of the warehouse whose token it is.
        kinds: What the values of the key's columns are.
        types: Types of the columns, as Arrow writes a schema, in base64.
        makers: Who made the rows; a row names one by its place.
        published_at: When the rows went live in the warehouse.
    """

    table: str
    partition: dt.date
    load: str
    token: int
    run_key: str
    warehouse: str
    shape: OnlineShape
    kinds: tuple[str, ...]
    types: str
    makers: tuple[Maker, ...]
    rows: int
    published_at: dt.datetime
    loaded_at: dt.datetime

    @property
    def key(self) -> tuple[KeyColumn, ...]:
        """The columns of the key."""
        return tuple(KeyColumn(name, kind) for name, kind in zip(self.shape.key, self.kinds, strict=True))  # type: ignore[arg-type]

    @property
    def schema(self) -> pa.Schema:
        """The columns that are found, with their types."""
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.types)))


@dataclass(frozen=True)
class Fence:
    """The newest publication of a partition that a store was ever loaded with; it outlives the rows."""

    token: int
    run_key: str
    warehouse: str


class OnlineRows(Protocol):
    """The rows of a partition as a store keeps them; their facts are known once `chunks` has been read to its end."""

    @property
    def rows(self) -> int:
        """How many."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the values of the key's columns are."""

    @property
    def types(self) -> str:
        """Types of the columns; see `LoadedPartition`."""

    @property
    def makers(self) -> tuple[Maker, ...]:
        """Who made the rows that were read so far."""

    def chunks(self, rows: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield key and bytes of each row, so many at a time."""


@dataclass(frozen=True)
class PartitionLoad:
    """All that a load needs.

    Attributes:
        keep_days: Newest partitions of the table that the store keeps.
    """

    table: str
    partition: dt.date
    token: int
    run_key: str
    warehouse: str
    shape: OnlineShape
    content: OnlineRows
    keep_days: int
    published_at: dt.datetime
    now: dt.datetime

    def as_loaded(self, load: str) -> LoadedPartition:
        """Describe the load when it is done."""
        content = self.content
        shared = {name: getattr(self, name) for name in LoadedPartition.model_fields if hasattr(self, name)}
        found = {name: getattr(content, name) for name in ("rows", "kinds", "types", "makers")}
        return LoadedPartition(**shared, **found, load=load, loaded_at=self.now)

    @property
    def fence(self) -> Fence:
        """What shuts out older publications from now on."""
        return Fence(self.token, self.run_key, self.warehouse)


class OnlineStore(Protocol):
    """A place where predictions are looked up by key.

    Every store keeps these promises, which one test suite checks (`tests/integration/test_online_store.py`):

    - a reader sees the old rows of a partition or the new ones, at no time a mixture or a hole;
    - rows of a run are never replaced by those of a run that was planned before it, nor a newer partition by an older;
    - loading the run that is there already changes no row;
    - a load that dies leaves nothing that a reader can see, and nothing that stays for good.
    """

    @property
    def location(self) -> str:
        """Where it is, without secrets."""

    def loaded(self, table: str) -> list[LoadedPartition]:
        """Return what there is of a table, the newest partition first."""

    def put_partition(self, load: PartitionLoad) -> Outcome:
        """Replace a partition by the rows of a run, and forget partitions beyond `keep_days`.

        Returns:
            `unchanged` when this very run is there in this shape; `not kept` when `keep_days` newer partitions are.

        Raises:
            NewerOnline: A run that was planned later was loaded before.
            OtherWarehouse: The table's rows are of another warehouse.
            OnlineRowsUnfit: Rows share their key, or have values that cannot be kept.
            OnlineStoreUnavailable: The store failed; what a reader sees is what it was.
        """

    def drop_partition(self, table: str, partition: dt.date, fence: Fence) -> bool:
        """Forget the rows of a partition, unless they are of a newer run or another warehouse; return if it did."""

    def trim(self, table: str, keep_days: int) -> int:
        """Forget all but the newest partitions of a table; return how many were forgotten."""

    def drop_table(self, table: str) -> int:
        """Forget a table, its fences too; return how many partitions there were."""

    def close(self) -> None:
        """Let go of it."""


def decide(
    load: PartitionLoad, there: LoadedPartition | None, fence: Fence | None, *, newer: int
) -> Literal["load", "renew", "unchanged", "not kept"]:
    """Say what is to be done of a load.

    Args:
        load: What is to be loaded.
        there: What the store has of the partition.
        fence: The newest publication of it that the store was ever loaded with.
        newer: How many newer partitions of the table the store has.

    Returns:
        `renew`: the rows are there, of a token that is older than this one, which is to shut out what lies between.

    Raises:
        NewerOnline: A run that was planned later was loaded before.
        OtherWarehouse: The token is that of another warehouse.
    """
    if fence is not None:
        check_warehouse(load.table, fence, warehouse=load.warehouse)
        if shuts_out(fence, load.fence):
            day = load.partition.isoformat()
            raise NewerOnline(load.table, partition=day, token=load.token, newest=fence.token)
    if newer >= load.keep_days:
        return "not kept"
    if there is not None and (there.run_key, there.shape) == (load.run_key, load.shape):
        return "renew" if load.token > there.token else "unchanged"
    return "load"


def shuts_out(before: Fence | None, fence: Fence) -> bool:
    """Whether a partition was loaded with something that a publication may not touch."""
    if before is None:
        return False
    newer = before.token > fence.token and before.run_key != fence.run_key
    return newer or before.warehouse != fence.warehouse


def check_warehouse(table: str, fence: Fence, *, warehouse: str) -> None:
    """Raise `OtherWarehouse` when a fence is of another warehouse."""
    if fence.warehouse != warehouse:
        raise OtherWarehouse(table, expected=warehouse, got=fence.warehouse)


def types_text(schema: pa.Schema) -> str:
    """Return a schema as `LoadedPartition.types` has it."""
    return base64.b64encode(schema.remove_metadata().serialize().to_pybytes()).decode()
