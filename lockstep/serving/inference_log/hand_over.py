"""Where the event loop leaves scored micro-batches for the writer: bounded, and never waited for.

One thread puts, one takes. What is counted is counted up by one of the two only, so nothing needs a lock.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from lockstep.scoring.arms import Split
from lockstep.scoring.scorer import ScoredBatch
from lockstep.serving.inference_log.layout import Layout
from lockstep.serving.rows import VALUE_BYTES, PlainRows, Rows
from lockstep.serving.trace import Trace
from lockstep.serving.work import Scored

# Tells the draw of the log from those of trials, which split by the same function.
SALT = "lockstep.inference_log"
# About what is kept of a request beside its rows.
REQUEST_BYTES = 1024
# What a plain value takes as an object in a list, and a list by itself.
OBJECT_BYTES, LIST_BYTES = 32, 64
# The writer is woken when so much of what may wait does.
HURRY = 0.25


# Rows of one request in a micro-batch: its trace (anything else is not logged), its first row here, how many.
Part: TypeAlias = tuple[object, int, int]


class Entry(NamedTuple):
    """One micro-batch to be written, without what its requests hold of their own.

    Attributes:
        layout: Of the version that scored it.
        parts: Whose rows they are.
        rows, scores: The rows and their scores.
        scored_at: Seconds since 1970.
        clock: The same moment by `time.perf_counter`.
        nbytes: About what it weighs.
    """

    layout: Layout
    parts: Sequence[Part]
    rows: Rows
    scores: ScoredBatch
    scored_at: float
    clock: float
    nbytes: int


class HandOver:
    """Micro-batches that wait to be written.

    Attributes:
        wanted: Set when the writer should come before its time.
    """

    def __init__(
        self, *, most_rows: int, most_bytes: int, sample: float, on_dropped: Callable[[int], None] = lambda _: None
    ) -> None:
        """Begin empty.

        Args:
            most_rows: Rows that may wait.
            most_bytes: About what they may weigh.
            sample: Share of the requests that are logged.
            on_dropped: Told, in the event loop, of rows for which there was no room.
        """
        self.wanted = threading.Event()
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._sample = sample
        self._on_dropped = on_dropped
        self._entries: deque[Entry] = deque()
        self._put_rows = self._put_bytes = 0
        self._taken_rows = self._taken_bytes = 0

    @property
    def waiting_rows(self) -> int:
        """Rows that wait."""
        return self._put_rows - self._taken_rows

    @property
    def waiting_bytes(self) -> int:
        """About what they weigh."""
        return self._put_bytes - self._taken_bytes

    @property
    def presses(self) -> bool:
        """Whether so much waits that it should be written before its time."""
        return self.waiting_rows > self._most_rows * HURRY or self.waiting_bytes > self._most_bytes * HURRY

    def put(self, layout: Layout, scored: Scored) -> None:
        """Leave a micro-batch, or drop it when there is no room; called by the event loop.

        Rows whose label is no `Trace` are nobody's request, and are not logged.
        """
        parts: list[Part] = [(share.work.label, share.start, share.count) for share in scored.shares]
        if self._sample < 1:
            parts = [self._drawn(part) for part in parts]
            if not any(part[0] for part in parts):
                return
        rows, nbytes = scored.rows.num_rows, _weight(scored)
        if not rows:
            return
        waiting_rows, waiting_bytes = self.waiting_rows + rows, self.waiting_bytes + nbytes
        if waiting_rows > self._most_rows or waiting_bytes > self._most_bytes:
            self._on_dropped(logged_rows(parts))
            return
        self._put_rows += rows
        self._put_bytes += nbytes
        now = time.perf_counter()
        self._entries.append(Entry(layout, parts, scored.rows, scored.scores, time.time(), now, nbytes))
        if self.presses:
            self.wanted.set()

    def _drawn(self, part: Part) -> Part:
        trace, start, count = part
        return part if isinstance(trace, Trace) and is_picked(trace.request_id, self._sample) else (None, start, count)

    def take(self, *, until: float, most_parts: int) -> list[Entry]:
        """Take micro-batches in their order; called by the writer.

        Args:
            until: Only such as were left before this moment of `time.perf_counter`.
            most_parts: Stop when there are parts of so many requests.
        """
        found: list[Entry] = []
        parts = 0
        while self._entries and parts < most_parts and self._entries[0].clock <= until:
            entry = self._entries.popleft()
            parts += len(entry.parts)
            found.append(entry)
        return found

    def done(self, entries: Sequence[Entry]) -> None:
        """Give the room of taken micro-batches back; called by the writer."""
        self._taken_rows += sum([entry.rows.num_rows for entry in entries])
        self._taken_bytes += sum([entry.nbytes for entry in entries])


def is_picked(request_id: str, sample: float) -> bool:
    """Whether a request is in a sample; who is in at 5 % is in at 20 %, in every process.

    The position is that of `lockstep.scoring.arms` for a table with a column `request_id`.
    """
    return _SPLIT.position({"request_id": request_id}) < sample


_SPLIT = Split(SALT, ("request_id",))


def logged_rows(parts: Sequence[Part]) -> int:
    """Return how many rows of a micro-batch are logged."""
    return sum([count for trace, _, count in parts if isinstance(trace, Trace)])


def _weight(scored: Scored) -> int:
    """Return about what an entry keeps in memory; a slice of a larger batch weighs its share of that."""
    rows, whole = scored.rows, scored.shares[0].work.rows
    if isinstance(rows, PlainRows):
        nbytes = OBJECT_BYTES * rows.nbytes // VALUE_BYTES + LIST_BYTES * len(rows.columns)
    else:
        nbytes = int(rows.get_total_buffer_size())
        if len(scored.shares) == 1 and rows.num_rows < whole.num_rows and not isinstance(whole, PlainRows):
            nbytes = nbytes * rows.num_rows // whole.num_rows
    return nbytes + sum([array.nbytes for array in scored.scores.outputs]) + REQUEST_BYTES * len(scored.shares)
