"""The table of readers of online stores: adding one adds a file and a line."""

from collections.abc import Callable
from urllib.parse import urlsplit

from lockstep.publish.online.errors import OnlineClientMissing
from lockstep.publish.online.stores import sqlite_path
from lockstep.serving.features.lookup import OnlineReader


def _sqlite(location: str) -> OnlineReader:
    from lockstep.serving.features.sqlite_reader import SqliteReader

    return SqliteReader(sqlite_path(location))


def _redis(location: str) -> OnlineReader:
    from lockstep.serving.features.redis_reader import RedisReader

    return RedisReader(location)


READERS: dict[str, Callable[[str], OnlineReader]] = {"sqlite": _sqlite, "redis": _redis, "rediss": _redis}


def open_reader(location: str) -> OnlineReader:
    """Return a reader of an online store. Nothing is opened yet, and the store need not be there.

    Args:
        location: As `LOCKSTEP_ONLINE_STORE` has it.

    Raises:
        OnlineClientMissing: The client of this kind of store is not installed.
    """
    kind = urlsplit(location).scheme
    try:
        return READERS[kind](location)
    except ModuleNotFoundError as error:
        raise OnlineClientMissing(kind, module=str(error.name)) from error
