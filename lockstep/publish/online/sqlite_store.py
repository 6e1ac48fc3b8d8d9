"""An online store in one SQLite file: a publisher writes, and readers of other processes are never kept waiting.

The rows of a load are written in short transactions, where no reader looks for them. One more transaction compares
fencing tokens and makes them the partition. Write-ahead logging gives every reader the state of one moment.
"""

import contextlib
import datetime as dt
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lockstep.publish.online.contract import (
    ABANDONED_S,
    CHUNK_ROWS,
    GIVEN_UP,
    Fence,
    LoadedPartition,
    Outcome,
    PartitionLoad,
    shuts_out,
)
from lockstep.publish.online.errors import OnlineStoreUnavailable, repeated_keys
from lockstep.publish.online.sqlite_tables import (
    UNUSED,
    fence_of,
    forget,
    loaded_partitions,
    make_ready,
    point,
    put,
    settled,
    trim,
)
from lockstep.publish.patience import Patience

SWEPT_ROWS = 20_000


@dataclass(frozen=True)
class SqliteStore:
    """See `OnlineStore` for the contract.

    Attributes:
        path: The file; the first load makes it, and its folder.
        wait_s: How long to wait for another writer, in seconds.
        clock: Gives the time, in seconds, by which a load is seen to be alive.
    """

    path: Path
    wait_s: float
    clock: Callable[[], float] = time.time

    @property
    def location(self) -> str:
        """Where it is."""
        return f"sqlite:///{self.path}"

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=self.wait_s, isolation_level=None)
        try:
            make_ready(connection, Patience(self.wait_s))
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _working(self) -> Iterator[sqlite3.Connection]:
        """Turn what SQLite and the file system raise into an error of ours."""
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise OnlineStoreUnavailable(self.location, reason=str(error)) from error
        except OSError as error:
            raise OnlineStoreUnavailable(self.location, reason=error.strerror or str(error)) from error

    @contextlib.contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Commit what the body did, or none of it; a durable commit outlives a loss of power."""
        with self._working() as connection:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def loaded(self, table: str) -> list[LoadedPartition]:
        """Return what there is of a table, the newest partition first; creates nothing."""
        if not self.path.exists():
            return []
        with self._working() as connection:
            return loaded_partitions(connection, table)

    def put_partition(self, load: PartitionLoad) -> Outcome:
        """Replace a partition by the rows of a run; see `OnlineStore`."""
        load_id = None
        try:
            with self._writing() as connection:
                if (done := settled(connection, load)) is not None:
                    return done
                load_id = connection.execute("INSERT INTO loads (touched_at) VALUES (?)", [self.clock()]).lastrowid
            self._stage(load, int(load_id or 0))
            with self._writing(durable=True) as connection:
                # Somebody else may have been here meanwhile.
                if (done := settled(connection, load)) is not None:
                    return done
                point(connection, load, int(load_id or 0))
                trim(connection, load.table, load.keep_days)
                return "loaded"
        finally:
            self._sweep(own=load_id)

    def _stage(self, load: PartitionLoad, load_id: int) -> None:
        """Write the rows where no reader looks for them."""
        for chunk in load.content.chunks(CHUNK_ROWS):
            with self._writing() as connection:
                mine = "UPDATE loads SET touched_at = ? WHERE load_id = ?"
                if not connection.execute(mine, [self.clock(), load_id]).rowcount:
                    raise sqlite3.OperationalError(GIVEN_UP)
                rows = ((load_id, key, content) for key, content in chunk)
                try:
                    connection.executemany("INSERT INTO prediction_rows VALUES (?, ?, ?)", rows)
                except sqlite3.IntegrityError as error:
                    raise repeated_keys(load.table, load.partition, load.shape.key) from error

    def _sweep(self, *, own: int | None = None) -> None:
        """Delete the rows of loads that nobody needs, a few at a time; what cannot be now is when the next one ends."""
        with contextlib.suppress(OnlineStoreUnavailable):
            query = f"SELECT load_id FROM loads WHERE {UNUSED} AND (touched_at < ? OR load_id = ?)"  # noqa: S608
            with self._working() as connection:
                unused = connection.execute(query, [self.clock() - ABANDONED_S, own]).fetchall()
            for (load_id,) in unused:
                while self._sweep_some(load_id):
                    pass

    def _sweep_some(self, load_id: int) -> bool:
        with self._writing() as connection:
            some = "SELECT key FROM prediction_rows WHERE load_id = ?1 LIMIT ?2"
            query = f"DELETE FROM prediction_rows WHERE load_id = ?1 AND key IN ({some})"  # noqa: S608
            if connection.execute(query, [load_id, SWEPT_ROWS]).rowcount:
                return True
            connection.execute("DELETE FROM loads WHERE load_id = ?", [load_id])
            return False

    def drop_partition(self, table: str, partition: dt.date, fence: Fence) -> bool:
        """Forget the rows of a partition, unless they are of a newer run; see `OnlineStore`."""
        with self._writing(durable=True) as connection:
            before = fence_of(connection, table, partition)
            if shuts_out(before, fence):
                return False
            kept = fence if before is None or before.token <= fence.token else before
            had = forget(connection, table, [partition])
            put(connection, table, partition, fence=kept, loaded=None)
        self._sweep()
        return had > 0

    def trim(self, table: str, keep_days: int) -> int:
        """Forget all but the newest partitions of a table; return how many were forgotten."""
        if not self.path.exists():
            return 0
        with self._writing(durable=True) as connection:
            forgotten = trim(connection, table, keep_days)
        self._sweep()
        return forgotten

    def drop_table(self, table: str) -> int:
        """Forget a table, its fences too; return how many partitions there were."""
        if not self.path.exists():
            return 0
        with self._writing(durable=True) as connection:
            had = trim(connection, table, 0)
            connection.execute("DELETE FROM partitions WHERE table_name = ?", [table])
        self._sweep()
        return had

    def close(self) -> None:
        """Close the file."""
        if "_connection" in self.__dict__:
            self.__dict__.pop("_connection").close()
