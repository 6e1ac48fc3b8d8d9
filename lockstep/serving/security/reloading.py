"""Values that are read from files and follow them, without a restart and without work on the way of a request."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lockstep.errors import LockstepError
from lockstep.serving.security.errors import SecurityFileInvalid

ValueT = TypeVar("ValueT")
Stamp = tuple[tuple[int, int, int], ...]

CHECK_S = 1.0
RETRY_S = 10.0
LARGEST_BYTES = 16 * 2**20
OTHERS_MAY_WRITE = 0o002

_log = logging.getLogger(__name__)


class Refreshed(Protocol):
    """Something that keeps itself up to date when asked to now and then.

    Attributes:
        wake: Set by whoever wants that to be sooner.
    """

    wake: threading.Event

    def refresh(self, *, now: float) -> float:
        """Bring it up to date; `now` is monotonic. Return after how many seconds to ask again. Never raises."""
        ...


def read_file(path: Path) -> bytes:
    """Read a file of keys or certificates.

    Raises:
        SecurityFileInvalid: It cannot be read, is too large, or anybody on this machine may change it.
    """
    try:
        facts = path.stat()
        if facts.st_mode & OTHERS_MAY_WRITE:
            advice = "Take the right to write from others (chmod o-w)"
            raise SecurityFileInvalid(path, ["everybody on this machine may change it"], advice=advice)
        if facts.st_size > LARGEST_BYTES:
            raise SecurityFileInvalid(path, [f"it is larger than {LARGEST_BYTES} bytes"])
        return path.read_bytes()
    except OSError as error:
        problem = f"it cannot be read: {error.strerror or type(error).__name__}"
        raise SecurityFileInvalid(path, [problem], advice="Check the path and its permissions") from error


class FollowedFiles(Generic[ValueT]):
    """A value made from files, made again when one of them changes; while they are wrong the last good value stays.

    Args:
        paths: The files.
        load: Makes the value, or raises a `LockstepError`. Called at once: wrong files stop the start.

    Attributes:
        current: The value; another object only when it differs.
        problem: Why the files of now are not in use; none: they are.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[], ValueT]) -> None:
        self.wake = threading.Event()
        self.problem: str | None = None
        self._paths = tuple(paths)
        self._load = load
        self._seen: Stamp | None = self._stamp()
        self._settled = False
        self._loaded = float("-inf")
        self.current: ValueT = load()

    def refresh(self, *, now: float) -> float:
        """Look at the files; see `Refreshed`."""
        stamp = self._stamp()
        try_again = self.problem is not None and now - self._loaded >= RETRY_S
        if stamp == self._seen and self._settled and not try_again:
            return CHECK_S
        # Once more after each change: two changes within one tick of the file system's clock have one stamp.
        self._settled = stamp == self._seen
        self._seen, self._loaded = stamp, now
        self._reload()
        return CHECK_S

    def _reload(self) -> None:
        try:
            value = self._load()
        except LockstepError as error:
            if self.problem != str(error):
                _log.error("changed files are not used, what was read before stays: %s", error)
            self.problem = str(error)
            return
        self.problem = None
        if value != self.current:
            self.current = value
            _log.info("read again after a change: %s", ", ".join(str(path) for path in self._paths))

    def _stamp(self) -> Stamp | None:
        try:
            facts = [path.stat() for path in self._paths]
        except OSError:
            return None
        return tuple((fact.st_mtime_ns, fact.st_size, fact.st_ino) for fact in facts)


class Refresher:
    """One thread for each thing to keep up to date, so that a slow one holds no other up."""

    def __init__(self, things: Sequence[Refreshed], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._things = tuple(things)
        self._clock = clock
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads; in the process that serves, since threads do not survive a fork."""
        for thing in self._things:
            thread = threading.Thread(target=self._run, args=(thing,), name="lockstep-refresh", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _run(self, thing: Refreshed) -> None:
        delay_s = CHECK_S
        while not self._ended.is_set():
            thing.wake.wait(delay_s)
            thing.wake.clear()
            if self._ended.is_set():
                return
            try:
                delay_s = thing.refresh(now=self._clock())
            except Exception as error:  # noqa: BLE001 - a bug must not end what revokes keys
                _log.error("cannot bring %s up to date: %s", type(thing).__name__, type(error).__name__)
                delay_s = CHECK_S

    def close(self, *, timeout_s: float = 1.0) -> None:
        """End the threads; one that waits for the network is left to end by itself."""
        self._ended.set()
        for thing in self._things:
            thing.wake.set()
        for thread in self._threads:
            thread.join(timeout_s)
