"""An online store in Redis (or Valkey).

The rows of a load go into a hash of their own, which expires unless it is finished. A transaction, which fails when
somebody else changed the table since the fences were compared, makes it the partition.
"""

import contextlib
import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

from redis import Redis, RedisError, WatchError
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from lockstep.publish.online.contract import (
    ABANDONED_S,
    CHUNK_ROWS,
    GIVEN_UP,
    Fence,
    LoadedPartition,
    Outcome,
    PartitionLoad,
    decide,
    shuts_out,
)
from lockstep.publish.online.errors import OnlineStoreUnavailable, repeated_keys
from lockstep.publish.online.redis_layout import MARK, TableNames, TableState, parse_live, password, reason
from lockstep.publish.patience import Patience

T = TypeVar("T")
# So many rows a command: the server does nothing else meanwhile.
COMMAND_ROWS = 1_000


@dataclass(frozen=True)
class RedisStore:
    """See `OnlineStore` for the contract.

    Attributes:
        location: URL of the server, without a password (`REDISCLI_AUTH` has that).
        wait_s: How long to wait for an answer, or for other writers, in seconds.
    """

    location: str
    wait_s: float

    @cached_property
    def _client(self) -> Redis:
        limits: dict[str, Any] = {"socket_timeout": max(self.wait_s, 1.0)}
        limits["socket_connect_timeout"] = limits["socket_timeout"]
        # A command that is sent again by the client might overwrite what came between.
        return Redis.from_url(self.location, password=password(), retry=Retry(NoBackoff(), 0), **limits)

    @contextlib.contextmanager
    def _working(self) -> Iterator[Redis]:
        """Turn what the client raises into an error of ours."""
        try:
            yield self._client
        except (RedisError, OSError) as error:
            raise OnlineStoreUnavailable(self.location, reason=reason(error)) from error

    def loaded(self, table: str) -> list[LoadedPartition]:
        """Return what there is of a table, the newest partition first."""
        with self._working() as client:
            return _state(client, TableNames(table)).newest_first

    def put_partition(self, load: PartitionLoad) -> Outcome:
        """Replace a partition by the rows of a run; see `OnlineStore`."""
        names, own = TableNames(load.table), uuid.uuid4().hex
        with self._working() as client:
            if (done := self._changed(names, lambda pipe, state: _settle(pipe, state, load, own=own))) != "load":
                return done
            try:
                self._stage(client, load, own)
                done = self._changed(names, lambda pipe, state: _flip(pipe, state, load, own=own), own=own)
            except RedisError:
                raise  # the rows may be the partition by now; if they are not, they expire
            except BaseException:
                client.unlink(names.rows(own))
                raise
            if done != "loaded":
                client.unlink(names.rows(own))
            return "unchanged" if done == "load" else done

    def _stage(self, client: Redis, load: PartitionLoad, own: str) -> None:
        """Write the rows where no reader looks for them."""
        rows = TableNames(load.table).rows(own)
        client.hset(rows, mapping={MARK: own})
        client.expire(rows, ABANDONED_S)
        for chunk in load.content.chunks(CHUNK_ROWS):
            with client.pipeline(transaction=False) as pipe:
                for start in range(0, len(chunk), COMMAND_ROWS):
                    pipe.hset(rows, mapping=dict(chunk[start : start + COMMAND_ROWS]))
                pipe.expire(rows, ABANDONED_S)
                pipe.execute()
        if client.hlen(rows) != load.content.rows + 1:
            raise repeated_keys(load.table, load.partition, load.shape.key)

    def _changed(
        self, names: TableNames, change: "Callable[[Pipeline, TableState], T]", *, own: str | None = None
    ) -> T:
        """Make a change on the very state that it was decided on; return what it returned.

        Args:
            names: Of the table.
            change: Queues commands.
            own: Load whose rows have to be there still.
        """
        rows = [] if own is None else [names.rows(own)]
        with self._client.pipeline() as pipe:
            for _ in Patience(self.wait_s).attempts(f"table {names.table} of the online store"):
                try:
                    pipe.watch(names.version, names.live, names.fences, *rows)  # type: ignore[no-untyped-call]
                    if rows and not pipe.exists(*rows):
                        raise OnlineStoreUnavailable(self.location, reason=GIVEN_UP)
                    state = _state(pipe, names)
                    pipe.multi()
                    result = change(pipe, state)
                    if len(pipe):
                        pipe.set(names.version, uuid.uuid4().hex)
                        pipe.execute()
                    pipe.reset()
                    return result
                except WatchError:
                    pipe.reset()
        # No error of ours: an answer may have been lost, so what was loaded must not be deleted.
        raise RedisError(f"others change table {names.table} all the time")

    def drop_partition(self, table: str, partition: dt.date, fence: Fence) -> bool:
        """Forget the rows of a partition, unless they are of a newer run; see `OnlineStore`."""

        def drop(pipe: Pipeline, state: TableState) -> bool:
            before, there = state.fences.get(partition), state.live.get(partition)
            if shuts_out(before, fence):
                return False
            if before is None or before.token <= fence.token:
                _put_fence(pipe, names, partition=partition, fence=fence)
            _forget(pipe, names, [there] if there else [])
            return there is not None

        names = TableNames(table)
        with self._working():
            return self._changed(names, drop)

    def trim(self, table: str, keep_days: int) -> int:
        """Forget all but the newest partitions of a table; return how many were forgotten."""

        def drop(pipe: Pipeline, state: TableState) -> int:
            over = state.newest_first[keep_days:]
            _forget(pipe, names, over)
            return len(over)

        names = TableNames(table)
        with self._working():
            return self._changed(names, drop)

    def drop_table(self, table: str) -> int:
        """Forget a table, its fences too; return how many partitions there were."""

        def drop(pipe: Pipeline, state: TableState) -> int:
            _forget(pipe, names, state.newest_first)
            if state.fences:
                pipe.delete(names.fences)
            return len(state.live)

        names = TableNames(table)
        with self._working():
            return self._changed(names, drop)

    def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self.__dict__.pop("_client").close()


def _state(client: "Redis | Pipeline", names: TableNames) -> TableState:
    found: Any = client.hgetall(names.live)
    fences: Any = client.hgetall(names.fences)
    read = {dt.date.fromisoformat(day.decode()): Fence(*json.loads(text)) for day, text in fences.items()}
    return TableState(parse_live(found), read)


def _settle(
    pipe: Pipeline, state: TableState, load: PartitionLoad, *, own: str
) -> Literal["loaded", "unchanged", "not kept", "load"]:
    """Do what can be done without writing a row; `load`: the rows have to be loaded."""
    there = state.live.get(load.partition)
    if there is not None and there.load == own:
        return "loaded"  # the answer to the transaction was lost
    fence = state.fences.get(load.partition)
    if fence is None and state.fences:  # of another partition only the warehouse counts
        fence = Fence(load.token, load.run_key, next(iter(state.fences.values())).warehouse)
    todo = decide(load, there, fence, newer=sum(day > load.partition for day in state.live))
    if todo == "renew" and there is not None:
        renewed = there.model_copy(update={"token": load.token})
        names = TableNames(load.table)
        pipe.hset(names.live, load.partition.isoformat(), renewed.model_dump_json())
        _put_fence(pipe, names, partition=load.partition, fence=load.fence)
    return "unchanged" if todo == "renew" else todo


def _flip(pipe: Pipeline, state: TableState, load: PartitionLoad, *, own: str) -> Outcome:
    """Make the rows of a load the partition, unless somebody else was here meanwhile."""
    if (done := _settle(pipe, state, load, own=own)) != "load":
        return done
    names, there, before = TableNames(load.table), state.live.get(load.partition), state.fences.get(load.partition)
    pipe.persist(names.rows(own))
    pipe.hset(names.live, load.partition.isoformat(), load.as_loaded(own).model_dump_json())
    if before is None or before.token <= load.token:
        _put_fence(pipe, names, partition=load.partition, fence=load.fence)
    if there is not None:
        pipe.unlink(names.rows(there.load))
    others = [one for one in state.newest_first if one.partition != load.partition]
    _forget(pipe, names, others[load.keep_days - 1 :])
    return "loaded"


def _put_fence(pipe: Pipeline, names: TableNames, *, partition: dt.date, fence: Fence) -> None:
    pipe.hset(names.fences, partition.isoformat(), json.dumps(astuple(fence)))


def _forget(pipe: Pipeline, names: TableNames, partitions: list[LoadedPartition]) -> None:
    for one in partitions:
        pipe.hdel(names.live, one.partition.isoformat())
        pipe.unlink(names.rows(one.load))
