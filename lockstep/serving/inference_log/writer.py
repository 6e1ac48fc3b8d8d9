"""The thread that writes the log: it empties the hand-over, and lets finished spools become files in another thread."""

import datetime as dt
import logging
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lockstep.serving.inference_log.files import finish
from lockstep.serving.inference_log.hand_over import Entry, HandOver
from lockstep.serving.inference_log.layout import Layout
from lockstep.serving.inference_log.recording import record
from lockstep.serving.inference_log.retention import finish_abandoned, remove_old
from lockstep.serving.inference_log.spool import HOUR_S, OPEN, Spool

# By then the answer of a row is on its way, and the time that it took is known.
SETTLE_S = 0.1
# Requests that are put together at a time. More would keep the interpreter from the event loop for longer.
MOST_REQUESTS = 512
UPKEEP_S = 60.0
TOLD_EVERY_S = 60.0
# Numbers of rows that one random number is good for.
IDS_BITS = 24

Key: TypeAlias = tuple[str, int]  # a layout's text, and an hour

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class Rolling:
    """When rows are written, and when a file is finished.

    Attributes:
        flush_s: Seconds after which rows are written.
        file_bytes, file_s: Size and age at which a file is finished; with its hour it is anyway.
        keep_days, keep_bytes: See `remove_old`.
    """

    flush_s: float = 1.0
    file_bytes: int = 64 * 2**20
    file_s: float = 300.0
    keep_days: int | None = None
    keep_bytes: int | None = None


class LogWriter:
    """Writes what is handed over; one for each process.

    Args:
        root: Folder of the log.
        hand_over: What waits.
        rolling: When files are finished.
        salt: Keys the hashes.
        on_lost: Told, in the writer's thread, of rows that could not be written.
    """

    def __init__(
        self, root: Path, hand_over: HandOver, *, rolling: Rolling, salt: bytes, on_lost: Callable[[int], None]
    ) -> None:
        self._root = root
        self._hand_over = hand_over
        self._rolling = rolling
        self._salt = salt
        self._on_lost = on_lost
        self._ids = Ids()
        self._name, self._number = secrets.token_hex(6), 0
        self._spools: dict[Key, Spool] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._finisher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference-log-files")
        self._upkeep_at = 0.0
        self._told_at = -TOLD_EVERY_S

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, finish all files, and end the threads."""
        self._ending.set()
        self._hand_over.wanted.set()
        self._thread.join()
        self._finisher.shutdown(wait=True)

    def _run(self) -> None:
        ending = False
        while not ending:
            self._hand_over.wanted.wait(self._rolling.flush_s)
            self._hand_over.wanted.clear()
            ending = self._ending.is_set()
            try:
                self._write(hurried=ending)
                self._roll(everything=ending)
                self._keep_up()
            except Exception as error:  # noqa: BLE001 - whatever it is, the endpoint goes on, and so does the log
                self._tell(error)

    def _write(self, *, hurried: bool) -> None:
        """Write what waits, but not the last moment's, unless much does."""
        while True:
            pressed = hurried or self._hand_over.presses
            until = time.perf_counter() - (0.0 if pressed else SETTLE_S)
            entries = self._hand_over.take(until=until, most_requests=MOST_REQUESTS)
            if not entries:
                return
            by_file: dict[Key, list[Entry]] = {}
            for entry in entries:
                by_file.setdefault((entry.layout.text, int(entry.scored_at // HOUR_S)), []).append(entry)
            for key, some in by_file.items():
                self._append(key, some)
            self._hand_over.done(entries)

    def _append(self, key: Key, entries: Sequence[Entry]) -> None:
        try:
            batch = record(entries, take_ids=self._ids.take, salt=self._salt)
            spool = self._spools.get(key)
            if spool is None:
                spool = self._spools[key] = self._new_spool(entries[0].layout, hour=key[1])
            spool.append(batch)
        except Exception as error:  # noqa: BLE001 - the disk is full, or rows are not as the layout says
            self._end(key)  # after a failed write nothing may follow
            self._tell(error)
            self._on_lost(sum(entry.logged_rows for entry in entries))

    def _new_spool(self, layout: Layout, *, hour: int) -> Spool:
        self._number += 1
        name = f"{self._name}-{self._number:06d}"
        return Spool.create(self._root / OPEN, name, layout.arrow_schema, hour=hour, now=time.monotonic())

    def _roll(self, *, everything: bool) -> None:
        rolling, now, hour = self._rolling, time.monotonic(), int(time.time() // HOUR_S)
        for key, spool in list(self._spools.items()):
            full = spool.nbytes >= rolling.file_bytes or now - spool.opened >= rolling.file_s
            if everything or full or spool.hour < hour:
                self._end(key)

    def _end(self, key: Key) -> None:
        spool = self._spools.pop(key, None)
        if spool is not None:
            spool.close()
            self._finisher.submit(self._guarded, lambda: finish(self._root, spool.path))

    def _keep_up(self) -> None:
        now = time.monotonic()
        if now < self._upkeep_at:
            return
        self._upkeep_at = now + UPKEEP_S
        rolling, today = self._rolling, dt.datetime.now(dt.UTC).date()
        self._finisher.submit(self._guarded, lambda: finish_abandoned(self._root))
        self._finisher.submit(
            self._guarded,
            lambda: remove_old(self._root, today=today, keep_days=rolling.keep_days, keep_bytes=rolling.keep_bytes),
        )

    def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - what is not finished now is found again by the upkeep
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Log an error, but not each; without its message unless it is the system's, since it may quote a value."""
        now = time.monotonic()
        if now - self._told_at < TOLD_EVERY_S:
            return
        self._told_at = now
        if isinstance(error, OSError) and error.strerror:
            _log.error("the inference log cannot be written to %s: %s", self._root, error.strerror)
        else:
            frames = "".join(traceback.format_tb(error.__traceback__))
            _log.error("the inference log failed with %s\n%s", type(error).__name__, frames)


class Ids:
    """Numbers of rows, each given once by any process: a random one for the first bits, then counted."""

    def __init__(self) -> None:
        self._next = self._end = 0

    def take(self, count: int) -> Any:
        """Return so many new numbers, `(count,) int64`; at most 2**24."""
        if self._next + count > self._end:
            self._next = secrets.randbits(63 - IDS_BITS) << IDS_BITS
            self._end = self._next + (1 << IDS_BITS)
        self._next += count
        return np.arange(self._next - count, self._next, dtype=np.int64)
