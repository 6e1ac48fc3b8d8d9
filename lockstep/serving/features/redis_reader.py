"""Looks predictions up in an online store in Redis (or Valkey)."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from lockstep.publish.online.redis_layout import MARK, TableNames, parse_live, password, reason
from lockstep.serving.features.errors import LookupKeyInvalid, LookupUnavailable
from lockstep.serving.features.lookup import Day, Hit, Lookup, LookupRequest, answer, days_asked

# A table that changes more often while one lookup runs is being loaded in a loop.
ATTEMPTS = 5


@dataclass(frozen=True)
class _Table:
    """What a table had at the version that its server named."""

    version: bytes | None
    days: tuple[Day, ...]


class _Changed(Exception):
    """The table changed since its days were read."""


@dataclass
class RedisReader:
    """See `OnlineReader`; to be used from one event loop.

    Attributes:
        location: URL of the server, without a password (`REDISCLI_AUTH` has that).
        connect_s: How long to wait for a connection, in seconds.
    """

    location: str
    connect_s: float = 1.0
    _tables: dict[str, _Table] = field(default_factory=dict)

    @cached_property
    def _client(self) -> Redis:
        retry = Retry(NoBackoff(), 1)  # a connection that the server closed while it was idle
        return Redis.from_url(
            self.location, password=password(), socket_connect_timeout=self.connect_s, retry=retry, protocol=2
        )

    async def lookup(self, request: LookupRequest, *, timeout_s: float) -> Lookup:
        """Find the newest rows of keys; see `OnlineReader`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._lookup(request)
        except TimeoutError as error:
            raise self._unavailable(request, f"no answer within {timeout_s:.3f} s") from error
        except (RedisError, OSError) as error:
            raise self._unavailable(request, reason(error)) from error

    async def _lookup(self, request: LookupRequest) -> Lookup:
        names = TableNames(request.table)
        for _ in range(ATTEMPTS):
            table = self._tables.get(request.table) or await self._read_table(names)
            days = days_asked(table.days, request)
            try:
                hits = await self._hits(names, table, days=days, request=request)
            except _Changed:
                self._tables.pop(request.table, None)
            else:
                return answer(request, hits, days=days, now=dt.datetime.now(dt.UTC))
        raise self._unavailable(request, "the table changes all the time")

    async def _read_table(self, names: TableNames) -> _Table:
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.get(names.version)
            pipe.hgetall(names.live)
            version, live = await pipe.execute()
        found = parse_live(live)
        table = _Table(version, tuple(Day(found[day]) for day in sorted(found, reverse=True)))
        self._tables[names.table] = table
        return table

    async def _hits(
        self, names: TableNames, table: _Table, *, days: Sequence[Day], request: LookupRequest
    ) -> list[Hit | None]:
        """Ask the newest day, and the others for what it has not."""
        hits: list[Hit | None] = [None] * request.rows
        missing = list(range(request.rows))
        try:
            keys = days[0].keys(request) if days else []
        except LookupKeyInvalid:
            await self._ask(names, table, days=(), keys=())  # the table may have another key by now
            raise
        for place, some in enumerate((days[:1], days[1:])):
            if place and not (some and missing):
                break
            answers = await self._ask(names, table, days=some, keys=[keys[row] for row in missing] if some else [])
            for day, found in zip(some, answers, strict=True):
                for row, content in zip(missing, found, strict=True):
                    if content is not None and hits[row] is None:
                        hits[row] = (day, content)
            missing = [row for row in missing if hits[row] is None]
        return hits

    async def _ask(
        self, names: TableNames, table: _Table, *, days: Sequence[Day], keys: Sequence[bytes]
    ) -> list[Sequence[Any]]:
        """Ask for keys of days and for the table's version, of one moment."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.get(names.version)
            for day in days:
                pipe.hmget(names.rows(day.loaded.load), [MARK, *keys])
            version, *found = await pipe.execute()
        if version != table.version:
            raise _Changed
        if not all(marked[0] for marked in found):
            raise RedisError("rows are gone that were never deleted: let the server evict nothing (noeviction)")
        return [marked[1:] for marked in found]

    def _unavailable(self, request: LookupRequest, why: str) -> LookupUnavailable:
        return LookupUnavailable(request.table, location=self.location, reason=why)

    async def aclose(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            await self._client.aclose()
            self.__dict__.pop("_client")
