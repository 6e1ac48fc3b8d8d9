"""Finished spans on their way out: left by the event loop, sent by a thread; without room dropped, and counted."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

RequestT = TypeVar("RequestT")
SpanT = TypeVar("SpanT")

# Sends spans and returns whether they arrived.
Send = Callable[[Sequence[SpanT]], bool]
COMPLAIN_S = 60.0

_log = logging.getLogger("lockstep.serving")


class SpanWriter(Generic[RequestT, SpanT]):
    """Sends what happened to requests as spans, from a thread of its own.

    Attributes:
        dropped: Requests whose spans were not sent: there was no room, or nobody took them. Counted up by the event
            loop and by the thread, each in a number of its own.
    """

    def __init__(
        self,
        spans_of: Callable[[RequestT], Iterable[SpanT]],
        send: Send[SpanT],
        *,
        waiting: int,
        batch: int,
        every_s: float,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin empty; nothing is sent before `start`.

        Args:
            spans_of: Makes the spans of a request; called by the thread.
            send: May take as long as it likes; what it raises counts as not sent.
            waiting: Requests that may wait.
            batch: Requests that are sent together; so many are sent at once, fewer after `every_s`.
            every_s: Longest wait of a finished request.
            end: Called at last; what is being sent by then should give up.
        """
        self._spans_of = spans_of
        self._send = send
        self._waiting = waiting
        self._batch = min(batch, waiting)
        self._every_s = every_s
        self._end = end
        self._finished: deque[RequestT] = deque()
        self._wanted = threading.Event()
        self._stopping = False
        self._refused = self._lost = 0
        self._complained = float("-inf")
        self._thread = threading.Thread(target=self._send_always, name="spans", daemon=True)

    @property
    def dropped(self) -> int:
        """Requests whose spans were not sent."""
        return self._refused + self._lost

    def start(self) -> None:
        """Send from now on."""
        self._thread.start()

    def put(self, finished: RequestT) -> None:
        """Leave a request, or drop it when too many wait; never blocks."""
        if len(self._finished) >= self._waiting or self._stopping:
            self._refused += 1
            return
        self._finished.append(finished)
        if len(self._finished) >= self._batch:
            self._wanted.set()

    def close(self, *, timeout_s: float) -> None:
        """Send what waits and end the thread, but do not wait for longer than `timeout_s`."""
        self._stopping = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._end()

    def _send_always(self) -> None:
        while not self._stopping:
            self._wanted.wait(self._every_s)
            self._wanted.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while self._finished:
            taken = [self._finished.popleft() for _ in range(min(self._batch, len(self._finished)))]
            try:
                arrived = self._send([span for each in taken for span in self._spans_of(each)])
            except Exception as error:  # noqa: BLE001 - spans are lost, requests go on
                arrived = False
                _log.warning("spans could not be made or sent: %s", type(error).__name__)
            if not arrived:
                self._lost += len(taken)
                self._complain()

    def _complain(self) -> None:
        """Say now and then that spans are lost."""
        if time.monotonic() - self._complained >= COMPLAIN_S:
            self._complained = time.monotonic()
            _log.warning("spans of %d requests were not sent so far; requests go on", self.dropped)
