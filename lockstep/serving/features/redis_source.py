"""Features in Redis (or Valkey): one hash for each key, one field for each feature, one for the time of the event."""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from lockstep.publish.online.redis_layout import password, reason
from lockstep.serving.features.deadlines import within
from lockstep.serving.features.errors import FeatureSourceInvalid, FeatureSourceUnavailable
from lockstep.serving.features.source import Fetched, Keys, aware, rows_of
from lockstep.specs.features_spec import FeatureKind

TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class RedisSource:
    """Hashes of a Redis server; see `FeatureSource`.

    Attributes:
        name: What messages call it.
        location: URL of the server, without a password (`REDISCLI_AUTH` has that).
        key: Name of a key's hash, such as `depot:{depot_id}`, with key columns in braces.
        kinds: Features, which are fields of the hash, and what their texts are.
        time_field: Field with the time of the event: seconds since 1970, or ISO 8601.
    """

    name: str
    location: str
    key: str
    kinds: Mapping[str, FeatureKind]
    time_field: str = "event_timestamp"

    def __post_init__(self) -> None:
        """Raise `FeatureSourceInvalid` for a name of hashes that no key fits into."""
        if not self.columns or any(not column.isidentifier() for column in self.columns):
            raise FeatureSourceInvalid(self.name, problem=f"key {self.key!r} must have key columns in braces")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Key columns."""
        return tuple(field for _, field, _, _ in Formatter().parse(self.key) if field is not None)

    @cached_property
    def _client(self) -> Redis:
        retry = Retry(NoBackoff(), 1)  # a connection that the server closed while it was idle
        return Redis.from_url(self.location, password=password(), retry=retry, protocol=2)

    async def get(self, keys: Keys, names: Sequence[str], *, deadline: float) -> Fetched:
        """Return features of keys, in one round trip; see `FeatureSource`."""
        if set(keys) != set(self.columns):
            raise FeatureSourceInvalid(self.name, problem=f"expected the keys {', '.join(self.columns)}")
        if unknown := [name for name in names if name not in self.kinds]:
            raise FeatureSourceInvalid(self.name, problem=f"has no feature {', '.join(unknown)}")
        hashes = [
            self.key.format(**{column: keys[column][row] for column in self.columns}) for row in range(rows_of(keys))
        ]
        try:
            async with within(deadline, self.name), self._client.pipeline(transaction=False) as pipe:
                for one in hashes:
                    pipe.hmget(one, [*names, self.time_field])
                found = await pipe.execute() if hashes else []
        except (RedisError, OSError) as error:
            raise FeatureSourceUnavailable(self.name, reason=reason(error)) from error
        return self._read(found, names)

    def _read(self, found: Sequence[Sequence[bytes | None]], names: Sequence[str]) -> Fetched:
        times = [_moment(row[-1]) for row in found]
        values: dict[str, list[Any]] = {}
        invalid: dict[str, frozenset[int]] = {}
        for place, name in enumerate(names):
            read = [_value(row[place], self.kinds[name]) for row in found]
            values[name] = [value for value, _ in read]
            invalid[name] = frozenset(row for row, (_, good) in enumerate(read) if not good)
        return Fetched(values, dict.fromkeys(names, times), invalid)

    async def aclose(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            await self._client.aclose()


def _double(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError("not a number")
    return number


READ: dict[FeatureKind, Callable[[str], Any]] = {
    "string": str,
    "long": int,
    "double": _double,
    "boolean": lambda text: TRUTHS[text.lower()],
}


def _value(found: bytes | None, kind: FeatureKind) -> tuple[Any, bool]:
    """Return a value, and whether it could be read."""
    if found is None:
        return None, True
    try:
        return READ[kind](found.decode()), True
    except (ValueError, KeyError):
        return None, False


def _moment(found: bytes | None) -> dt.datetime | None:
    """Return the time of an event; none: nobody wrote one that can be read."""
    if found is None:
        return None
    text = found.decode(errors="replace")
    try:
        return dt.datetime.fromtimestamp(float(text), dt.UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return aware(dt.datetime.fromisoformat(text))
    except ValueError:
        return None
