"""Looks predictions up in an online store that is one SQLite file."""

import asyncio
import contextlib
import datetime as dt
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.publish.online.sqlite_tables import loaded_partitions
from lockstep.serving.features.errors import LookupUnavailable
from lockstep.serving.features.lookup import Day, Hit, Lookup, LookupRequest, answer, days_asked

# So many keys take less time than a thread would; more are looked up beside the event loop.
INLINE_KEYS = 64
# How often it is looked whether the file is still the one that is open, in seconds.
LOOK_S = 1.0
# How many keys a statement asks for.
SIZES = (1, 4, 16, 64, 256)
MOST_KEYS = SIZES[-1]
QUERY = "SELECT key, content FROM prediction_rows WHERE load_id = ? AND key IN ({})"
QUERIES = {size: QUERY.format(", ".join("?" * size)) for size in SIZES}
PAGES_BYTES = 2**30


@dataclass
class SqliteReader:
    """See `OnlineReader`; to be opened in the process that uses it, after any fork.

    Attributes:
        path: The file, which need not exist yet. It lies on a disk of this machine: SQLite's log knows no network.
    """

    path: Path
    _few: "_Connection" = field(init=False)
    _many: "_Connection" = field(init=False)

    def __post_init__(self) -> None:
        """Prepare to open the file; a lookup of few keys never waits for one of many."""
        self._few, self._many = _Connection(self.path), _Connection(self.path)

    async def lookup(self, request: LookupRequest, *, timeout_s: float) -> Lookup:
        """Find the newest rows of keys; see `OnlineReader`."""
        try:
            if request.rows <= INLINE_KEYS:
                return self._few.lookup(request)
            async with asyncio.timeout(timeout_s):
                return await asyncio.to_thread(self._many.lookup, request)
        except TimeoutError as error:
            raise self._unavailable(request, f"no answer within {timeout_s:.3f} s") from error
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(request, str(error)) from error

    def _unavailable(self, request: LookupRequest, reason: str) -> LookupUnavailable:
        return LookupUnavailable(request.table, location=f"sqlite:///{self.path}", reason=reason)

    async def aclose(self) -> None:
        """Close the file."""
        for connection in (self._few, self._many):
            connection.close()


@dataclass
class _Connection:
    """A connection to the file, and what it knows to be loaded as long as the file does not change."""

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: sqlite3.Connection | None = None
    _identity: tuple[int, int] | None = None
    _looked: float = 0.0
    _version: int | None = None
    _days: dict[str, list[Day]] = field(default_factory=dict)

    def lookup(self, request: LookupRequest) -> Lookup:
        with self._lock, self._reading() as connection:
            days = days_asked(self._loaded(connection, request.table), request) if connection else []
            hits: Sequence[Hit | None] = [None] * request.rows
            if connection is not None and days:
                hits = _hits(connection, days, days[0].keys(request))
        return answer(request, hits, days=days, now=dt.datetime.now(dt.UTC))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Read the state of one moment; none: there is no file yet."""
        connection = self._connected()
        if connection is None:
            yield None
            return
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection | None:
        """Return a connection to the file that is there now: somebody may have put another one in its place."""
        if self._open is not None and time.monotonic() - self._looked < LOOK_S:
            return self._open
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self.close()
            return None
        self._looked = time.monotonic()
        if self._open is None or self._identity != (found.st_dev, found.st_ino):
            self.close()
            self._open, self._identity = _opened(self.path), (found.st_dev, found.st_ino)
        return self._open

    def _loaded(self, connection: sqlite3.Connection, table: str) -> list[Day]:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version, self._days = version, {}
        if table not in self._days:
            there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'partitions'").fetchone()
            self._days[table] = [Day(one) for one in loaded_partitions(connection, table)] if there else []
        return self._days[table]

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self._version, self._days = None, None, {}


def _opened(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=1.0)
    connection.execute("PRAGMA query_only = 1")
    connection.execute(f"PRAGMA mmap_size = {PAGES_BYTES}")
    return connection


def _hits(connection: sqlite3.Connection, days: Sequence[Day], keys: Sequence[bytes]) -> list[Hit | None]:
    """Ask the newest day, and each older one for what is still missing."""
    hits: list[Hit | None] = [None] * len(keys)
    missing: Sequence[int] = range(len(keys))
    for day in days:
        found = _found(connection, int(day.loaded.load), [keys[row] for row in missing])
        for row in missing:
            if (content := found.get(keys[row])) is not None:
                hits[row] = (day, content)
        missing = [row for row in missing if hits[row] is None]
        if not missing:
            break
    return hits


def _found(connection: sqlite3.Connection, load: int, keys: list[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for start in range(0, len(keys), MOST_KEYS):
        some = keys[start : start + MOST_KEYS]
        # Few different statements, so that each is prepared once: the last key fills up.
        size = next(size for size in SIZES if size >= len(some))
        found.update(connection.execute(QUERIES[size], (load, *some, *some[-1:] * (size - len(some)))))
    return found
