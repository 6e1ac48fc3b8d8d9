"""The table of online stores: adding one adds a file and a line."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from lockstep.publish.online.contract import OnlineStore
from lockstep.publish.online.errors import OnlineClientMissing

SQLITE = "sqlite:///"


def sqlite_path(location: str) -> Path:
    """Return the file of a store in SQLite: `sqlite:///relative/path` or `sqlite:////absolute/path`."""
    return Path(location.removeprefix(SQLITE)).absolute()


def _sqlite(location: str, wait_s: float) -> OnlineStore:
    from lockstep.publish.online.sqlite_store import SqliteStore

    return SqliteStore(sqlite_path(location), wait_s)


def _redis(location: str, wait_s: float) -> OnlineStore:
    from lockstep.publish.online.redis_store import RedisStore

    return RedisStore(location, wait_s)


ONLINE_STORES: dict[str, Callable[[str, float], OnlineStore]] = {
    "sqlite": _sqlite,
    "redis": _redis,
    "rediss": _redis,
}


def open_online_store(location: str, *, wait_s: float) -> OnlineStore:
    """Return an online store. Nothing is opened or created yet.

    Args:
        location: As `LOCKSTEP_ONLINE_STORE` has it.
        wait_s: How long an operation waits for other writers, in seconds.

    Raises:
        OnlineClientMissing: The client of this kind of store is not installed.
    """
    kind = urlsplit(location).scheme
    try:
        return ONLINE_STORES[kind](location, wait_s)
    except ModuleNotFoundError as error:
        raise OnlineClientMissing(kind, module=str(error.name)) from error
