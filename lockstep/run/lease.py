"""A lease that one process at a time holds, also among machines that share a file system or an object store.

A lease is a folder of numbered files, and whoever made the file of the highest number holds it. To take a lease that is
free is to create the next number if it is not there, which succeeds once, over NFS and in object stores too. Locks of
the kernel (`flock`, `fcntl`) would need no clean-up, but network file systems emulate, disable or forget them. Nothing
is ever removed and made again under the same name, which is where lock files usually go wrong: two processes that find
the same dead holder both ask for the same next number.

The holder touches its file every few seconds (in a store it writes it again), and whoever waits looks whether its time
of change still changes: by a clock of its own, so it does not matter whose clock is wrong. On the machine of the holder
nobody waits for that: a process that is gone holds nothing. A holder that slept too long learns that somebody else took
over, and stops.
"""

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from lockstep.errors import RunFolderUnusable
from lockstep.run.plan import Record
from lockstep.run.process_identity import Identity, is_gone, own_identity
from lockstep.storage.files import Location, create, make_folder, names_below
from lockstep.storage.signs import mark, seen, wipe

BEAT_S, EXPIRY_S, POLL_S = 3.0, 30.0, 0.5
# Far more than anybody can be behind between a look and the creation of the next file.
KEPT = 8
NOBODY = "a process that has not said its name yet"


class Holder(Record):
    """Who holds a lease.

    Attributes:
        owner: In words: a DAG run, a user.
        purpose: What it does with what it holds.
        identity: The process.
        taken_at: When it took the lease, by its clock.
    """

    owner: str
    purpose: str
    identity: Identity
    taken_at: dt.datetime

    def __str__(self) -> str:
        """Say who it is."""
        where = f"process {self.identity.pid} on {self.identity.host}"
        return f"{self.owner} ({self.purpose}, {where}, since {self.taken_at:%Y-%m-%d %H:%M:%S} UTC)"


@dataclass(frozen=True)
class Timing:
    """How often a holder gives a sign of life, and after how long without one it counts as dead, in seconds."""

    beat_s: float = BEAT_S
    expiry_s: float = EXPIRY_S
    poll_s: float = POLL_S


@dataclass(frozen=True)
class Busy:
    """The lease could not be had in time.

    Attributes:
        holder: Who has it, in words.
        waited_s: How long it was waited for.
    """

    holder: str
    waited_s: float


class Lease:
    """What a holder has; `is_lost` once somebody else has taken over."""

    def __init__(self, file: Location, timing: Timing, *, on_lost: Callable[[], None]) -> None:
        self.file = file
        self._timing = timing
        self._on_lost = on_lost
        self._ended, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether somebody else holds it by now."""
        return self._lost.is_set()

    def keep(self) -> None:
        """Begin to give signs of life."""
        self._thread.start()

    def release(self) -> None:
        """Let the next one have it, at once."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            wipe(self.file)

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(self._timing.beat_s):
            try:
                lost = _numbers(self.file.parent)[-1] > int(self.file.name)
                if not lost:
                    mark(self.file)
                    last = time.monotonic()
            except (OSError, IndexError):  # the disk is away, or somebody has removed the folder
                lost = time.monotonic() - last > self._timing.expiry_s
            if lost:
                self._lost.set()
                self._on_lost()
                return


@contextlib.contextmanager
def taken(
    folder: Location,
    *,
    owner: str,
    purpose: str,
    wait_s: float,
    tell: Callable[[str], None] = lambda _: None,
    on_lost: Callable[[], None] = lambda: None,
    timing: Timing = Timing(),
) -> Iterator[Lease | Busy]:
    """Hold the lease of a folder for the body, or say who holds it.

    Args:
        folder: Of the lease; made if need be.
        owner: Who wants it, in words.
        purpose: What for, in a word.
        wait_s: How long to wait for whoever holds it, in seconds.
        tell: Told once whom it waits for.
        on_lost: Called, in a thread of the lease's own, when somebody else has taken over.
        timing: Signs of life.

    Raises:
        RunFolderUnusable: The folder cannot be written.
    """
    me = Holder(owner=owner, purpose=purpose, identity=own_identity(), taken_at=dt.datetime.now(dt.UTC))
    try:
        make_folder(folder)
        got = _wait(folder, me, wait_s=wait_s, tell=tell, timing=timing)
    except OSError as error:
        raise RunFolderUnusable(str(folder), error.strerror or str(error)) from error
    if isinstance(got, Busy):
        yield got
        return
    lease = Lease(got, timing, on_lost=on_lost)
    lease.keep()
    try:
        yield lease
    finally:
        lease.release()


def _wait(
    folder: Location, me: Holder, *, wait_s: float, tell: Callable[[str], None], timing: Timing
) -> Location | Busy:
    began = time.monotonic()
    watched, told = _Watched(timing.expiry_s), False
    while True:
        number = (_numbers(folder) or [0])[-1]
        if number == 0 or watched.is_free(folder / str(number)):
            file = folder / str(number + 1)
            if _create(file, me):
                _forget_old(folder, below=number + 1 - KEPT)
                return file
            continue  # somebody else was faster
        waited = time.monotonic() - began
        if waited >= wait_s:
            return Busy(watched.holder, waited)
        if not told:
            tell(watched.holder)
            told = True
        time.sleep(min(timing.poll_s, max(0.0, wait_s - waited)))


class _Watched:
    """Looks at a holder's file again and again."""

    def __init__(self, expiry_s: float) -> None:
        self._expiry_s = expiry_s
        self._seen: tuple[Location, int] | None = None
        self._since = 0.0
        self.holder = NOBODY

    def is_free(self, file: Location) -> bool:
        try:
            changed, text = seen(file)
        except FileNotFoundError:  # forgotten: there are many newer ones
            return False
        holder = _parse(text)
        self.holder = NOBODY if holder is None else str(holder)
        if changed == 0 or (holder is not None and is_gone(holder.identity)):
            return True
        if self._seen != (file, changed):
            self._seen, self._since = (file, changed), time.monotonic()
        return time.monotonic() - self._since > self._expiry_s


def _parse(text: bytes) -> Holder | None:
    try:
        return Holder.model_validate_json(text)
    except ValidationError:  # it is about to be written, or its writer died or is of another version
        return None


def _create(file: Location, me: Holder) -> bool:
    """Make the file of the next number; whether we hold the lease now."""
    if not create(file, me.model_dump_json().encode()):
        return False
    # Somebody who slept for long between look and creation may make a number that was used and forgotten.
    return _numbers(file.parent)[-1] == int(file.name)


def _numbers(folder: Location) -> list[int]:
    return sorted(int(name) for name in names_below(folder) if name.isdigit())


def _forget_old(folder: Location, *, below: int) -> None:
    for number in _numbers(folder):
        if number < below:
            (folder / str(number)).unlink(missing_ok=True)
