"""The audit log: who changed what, and who was refused. JSON lines; no key, no token and no data of a request.

Writing never makes a request wait: what cannot be queued is dropped and counted, and so is what a flood of refusals
would fill the disk with.
"""

import datetime as dt
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lockstep.serving.security.rate_limit import FULL, Pace
from lockstep.specs.serving_security import Role

Outcome = Literal["done", "failed", "unauthenticated", "forbidden"]

QUEUED = 1000
BATCH = 100
LONGEST_TEXT = 200
COMPLAIN_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What happened.

    Attributes:
        action: Role that it needs.
        outcome: How it ended.
        client: Who it was, if that is certain.
        method: How that is known.
        peer: Address of the connection.
        operation: What was asked for, such as `load` or `rollback`.
        model: With which model.
        version: ... and which version of it.
        reason: Why it ended so.
        request_id: As in the access log.
    """

    action: Role
    outcome: Outcome
    client: str | None = None
    method: str | None = None
    peer: str = ""
    operation: str | None = None
    model: str | None = None
    version: str | None = None
    reason: str | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line to write; a refusal may be left out when there is no room."""

    text: str
    refusal: bool


Write = Callable[[Sequence[Line]], int]


class AuditLog:
    """Takes events from any thread and writes them in one of its own.

    Args:
        write: Writes lines and returns how many it left out.
        refusals: How many refusals are written.
        clock: Seconds since 1970.
        monotonic: Monotonic seconds.
        queued: Events that may wait to be written.

    Attributes:
        dropped: Events that were lost: the queue was full, or they could not be written.
        suppressed: Refusals that were not written because there were too many.
    """

    def __init__(
        self,
        write: Write,
        *,
        refusals: Pace,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        queued: int = QUEUED,
    ) -> None:
        self.dropped = 0
        self.suppressed = 0
        self._write = write
        self._refusals = refusals
        self._clock = clock
        self._monotonic = monotonic
        self._queue: queue.Queue[Line | None] = queue.Queue(queued)
        self._lock = threading.Lock()
        self._full_at = FULL
        self._unsaid = 0
        self._complained = FULL
        self._thread: threading.Thread | None = None

    def record(self, event: AuditEvent) -> None:
        """Take an event; never waits and never raises."""
        refusal = event.outcome in {"unauthenticated", "forbidden"}
        with self._lock:
            if refusal and not self._may_refusal_be_written():
                return
            unsaid, self._unsaid = (self._unsaid, 0) if refusal else (0, self._unsaid)
            try:
                self._queue.put_nowait(Line(line_of(event, at=self._clock(), suppressed=unsaid), refusal))
            except queue.Full:
                self.dropped += 1
                self._unsaid += unsaid

    def _may_refusal_be_written(self) -> bool:
        after, wait_s = self._refusals.take(self._full_at, 1, now=self._monotonic())
        if wait_s:
            self.suppressed += 1
            self._unsaid += 1
            return False
        self._full_at = after
        return True

    def start(self) -> None:
        """Start to write; in the process that serves, since threads do not survive a fork."""
        self._thread = threading.Thread(target=self._run, name="lockstep-audit", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            batch = [line]
            while len(batch) < BATCH:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._write_all(batch)
                    return
                batch.append(more)
            self._write_all(batch)

    def _write_all(self, batch: Sequence[Line]) -> None:
        try:
            lost, problem = self._write(batch), "the file has reached audit.max_mib"
        except Exception as error:  # noqa: BLE001 - nothing may end the thread that writes
            lost, problem = len(batch), getattr(error, "strerror", None) or type(error).__name__
        if not lost:
            return
        with self._lock:
            self.dropped += lost
        now = self._monotonic()
        if now - self._complained >= COMPLAIN_S:
            self._complained = now
            _log.error("the audit log loses events, %d so far: %s", self.dropped, problem)

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Write what is queued and end."""
        if self._thread is None:
            return
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)
        self._thread = None


def line_of(event: AuditEvent, *, at: float, suppressed: int) -> str:
    """Write an event as one line of JSON.

    Args:
        event: What happened.
        at: When, in seconds since 1970.
        suppressed: Refusals before this one that were not written.
    """
    facts = {
        "time": dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds"),
        "client": _short(event.client),
        "method": event.method,
        "peer": _short(event.peer),
        "action": event.action,
        "operation": event.operation,
        "model": _short(event.model),
        "version": _short(event.version),
        "outcome": event.outcome,
        "reason": _short(event.reason),
        "request_id": _short(event.request_id),
    }
    if suppressed:
        facts["refusals_not_written"] = str(suppressed)
    return json.dumps({name: value for name, value in facts.items() if value})


def _short(text: str | None) -> str | None:
    return None if text is None else text[:LONGEST_TEXT]
